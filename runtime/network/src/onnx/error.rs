//! Errors of writing and reading ONNX.

use super::MAX_MODEL_BYTES;
use crate::NetworkError;
use thiserror::Error;

/// Why a network cannot be written as ONNX, or a file not be read as a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The network is none.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Names that are made from the network's own meet one of them.
    #[error("two {what} of the ONNX graph are called `{name}`; rename a node of the network")]
    NamedTwice {
        /// `tensors` or `nodes`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// More than a protobuf file can hold.
    #[error("the network takes {n_bytes} bytes, an ONNX file at most {MAX_MODEL_BYTES}")]
    TooLarge {
        /// Bytes it would take.
        n_bytes: usize,
    },
    /// The bytes are no ONNX file.
    #[error("the bytes are no ONNX file: {reason}")]
    Malformed {
        /// What the decoder says.
        reason: String,
    },
    /// A file without a graph, or with a graph of another shape than one input.
    #[error("the ONNX graph {problem}")]
    Graph {
        /// What is wrong with it.
        problem: String,
    },
    /// A node that is not of the kind that a detector's network is made of.
    #[error("node `{node}` ({op}) of the ONNX graph: {problem}")]
    Node {
        /// Its name.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong with it, or what would be understood.
        problem: String,
    },
    /// A calibration that lacks a tensor, or has a range that is none.
    #[error("the calibration gives tensor `{tensor}` {problem}")]
    Calibration {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
}
