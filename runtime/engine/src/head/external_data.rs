//! External data: whether the bytes of an ONNX file refer to another file.

use crate::error::{BuildError, BuildErrorKind};

/// Refuses bytes that are not the wire format of ONNX, and tensors whose values lie in another
/// file: a network from memory has no folder, and the library would look in the current one,
/// past the package's digests.
pub(super) fn refuse_other_files(onnx: &[u8]) -> Result<(), BuildError> {
    let found = if onnx.is_empty() { Err(Refused::Malformed) } else { visit(onnx, Message::Model, 0) };
    found.map_err(|refused| {
        let text = match refused {
            Refused::Malformed => "the network is not an ONNX file: it is damaged or cut short",
            Refused::TooDeep => "the network nests graphs deeper than any real one",
            Refused::OtherFile => {
                "the network keeps weights in another file; a package's network is one file"
            }
        };
        BuildError::new(BuildErrorKind::Package, text)
    })
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Malformed,
    TooDeep,
    OtherFile,
}

/// The messages of onnx.proto on the way from a model to its tensors.
#[derive(Clone, Copy)]
pub(super) enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Training,
}

impl Message {
    /// The message in a field, if tensors can be inside of it. **Source**: onnx.proto, IR version 13.
    fn child(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            _ => None,
        }
    }
}

/// Walks a message down to its tensors.
pub(super) fn visit(mut bytes: &[u8], message: Message, depth: usize) -> Result<(), Refused> {
    const MAX_DEPTH: usize = 64;
    /// `TensorProto.external_data` and `TensorProto.data_location`.
    const EXTERNAL_DATA: u64 = 13;
    const DATA_LOCATION: u64 = 14;
    if depth > MAX_DEPTH {
        return Err(Refused::TooDeep);
    }
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = tag >> 3;
        if field == 0 || tag > u64::from(u32::MAX) {
            return Err(Refused::Malformed);
        }
        match tag & 7 {
            0 => {
                let value = varint(&mut bytes)?;
                if matches!(message, Message::Tensor) && field == DATA_LOCATION && value != 0 {
                    return Err(Refused::OtherFile);
                }
            }
            1 => drop(take(&mut bytes, 8)?),
            2 => {
                let n = varint(&mut bytes)?;
                let inside = take(&mut bytes, usize::try_from(n).map_err(|_| Refused::Malformed)?)?;
                if matches!(message, Message::Tensor) && field == EXTERNAL_DATA {
                    return Err(Refused::OtherFile);
                }
                if let Some(child) = message.child(field) {
                    visit(inside, child, depth + 1)?;
                }
            }
            5 => drop(take(&mut bytes, 4)?),
            _ => return Err(Refused::Malformed),
        }
    }
    Ok(())
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], Refused> {
    let (head, tail) = bytes.split_at_checked(n).ok_or(Refused::Malformed)?;
    *bytes = tail;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Refused> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (byte, tail) = bytes.split_first().ok_or(Refused::Malformed)?;
        *bytes = tail;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Refused::Malformed)
}
