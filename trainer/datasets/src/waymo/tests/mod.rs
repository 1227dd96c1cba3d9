//! Tests of both versions: against each other, against trigonometry, and against broken files.

mod frames;
mod geometry;
mod hostile;
mod parquet_writer;
mod recorded;
mod rows;
mod synthetic;
mod versions;
