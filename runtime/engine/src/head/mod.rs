//! Head: the network between the canvas and the raw tensors.
//!
//! One file a backend: [`onnxruntime`] on the CPU, [`replay`] of recorded tensors in tests. [`device`] is
//! what a network on the card must be, and the replay there.

pub mod device;
mod external_data;
pub mod onnxruntime;
pub mod replay;
pub mod tensorrt;

use pilotis_spec::FrameError;

/// A network with its input and outputs allocated once.
///
/// **Allocation**: none of ours in any method; what a native engine allocates inside is its own.
pub trait Head: Send {
    /// The input, `canvas [C, ny, nx]`. The bev stage writes the cells of a frame and clears the
    /// cells of the frame before; the rest stays zero.
    fn canvas(&mut self) -> &mut [f32];

    /// Whether the network looks at the canvas at all. Where it does not, a canvas on a card stays
    /// there.
    fn reads_canvas(&self) -> bool {
        true
    }

    /// Runs the network on the canvas.
    ///
    /// **Errors**: [`pilotis_spec::FrameErrorCode::HeadFailed`]; [`Head::last_error`] has the text.
    fn run(&mut self) -> Result<(), FrameError>;

    /// Values of an output, in the order of [`pilotis_spec::HeadLayout::tensors`]; empty past the
    /// last one.
    fn tensor(&self, idx: usize) -> &[f32];

    /// The native engine's words on the last failure.
    fn last_error(&self) -> &str;

    /// Name and version of the engine, for reports.
    fn describe(&self) -> String;
}
