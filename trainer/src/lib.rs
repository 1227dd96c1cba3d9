//! Pilotis' trainer: from labelled sweeps to a model package.
//!
//! The same nouns as the runtime's, as Burn modules ([`bev`], [`head`]) and as targets
//! ([`boxes`]); around them [`simulate`], [`datasets`], [`mod@train`], [`export`] and
//! [`evaluate`].

pub mod bev;
pub mod boxes;
pub mod config;
pub mod datasets;
pub mod detector;
pub mod device;
pub mod download;
pub mod evaluate;
pub mod export;
pub mod head;
mod ops;
pub mod simulate;
pub mod train;
