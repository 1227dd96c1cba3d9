//! The border of a network: what it declares, against what is expected.

use super::TensorShape;
use super::library::{Owned, check};
use crate::error::{BuildError, BuildErrorKind};
use ort::sys;
use std::ffi::{CStr, c_int};
use std::ptr;

/// `ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT`; as a number, because a library may answer with a kind
/// that the enum of `ort::sys` does not know.
const ELEMENT_F32: c_int = 1;

/// One side of a session's border.
pub(super) struct Border<'a> {
    pub(super) api: &'a sys::OrtApi,
    pub(super) session: &'a Owned<sys::OrtSession>,
    pub(super) is_input: bool,
}

/// A tensor as the model declares it.
struct Declared {
    name: String,
    element: c_int,
    /// A dimension without a fixed size is negative.
    dims: Vec<i64>,
}

impl Border<'_> {
    fn side(&self) -> &'static str {
        if self.is_input { "input" } else { "output" }
    }

    fn declared(&self) -> Result<Vec<Declared>, BuildError> {
        let api = self.api;
        let (session, mut n) = (self.session.as_ptr().cast_const(), 0);
        let count = if self.is_input { api.SessionGetInputCount } else { api.SessionGetOutputCount };
        // SAFETY: the session is live, the out writable, the status the call's own -> `self`
        // -> head: a_border_that_does_not_fit_is_refused.
        unsafe { check(api, "count its tensors", count(session, &raw mut n))? };
        (0..n).map(|idx| Ok(Declared { name: self.name(idx)?, ..self.kind(idx)? })).collect()
    }

    fn name(&self, idx: usize) -> Result<String, BuildError> {
        let api = self.api;
        let get = if self.is_input { api.SessionGetInputName } else { api.SessionGetOutputName };
        let (mut allocator, mut name) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the session is live and has that many tensors, the outs are writable; the name
        // is a C string of the default allocator, copied and then freed by it; that allocator
        // is the library's and never freed -> `declared` -> a_border_that_does_not_fit_is_refused.
        unsafe {
            check(api, "find its allocator", (api.GetAllocatorWithDefaultOptions)(&raw mut allocator))?;
            check(api, "name a tensor", get(self.session.as_ptr(), idx, allocator, &raw mut name))?;
            if name.is_null() {
                return Ok(String::new());
            }
            let text = CStr::from_ptr(name).to_string_lossy().into_owned();
            check(api, "free a name", (api.AllocatorFree)(allocator, name.cast()))?;
            Ok(text)
        }
    }

    fn kind(&self, idx: usize) -> Result<Declared, BuildError> {
        let api = self.api;
        let get = if self.is_input { api.SessionGetInputTypeInfo } else { api.SessionGetOutputTypeInfo };
        let (mut info, mut tensor) = (ptr::null_mut(), ptr::null());
        let (mut element, mut n_dims): (c_int, usize) = (0, 0);
        let mut dims = Vec::new();
        // SAFETY: the session is live and has that many tensors; outs are writable, the element's
        // as the number its enum is (a newer library may know more of them than the enum does);
        // what `tensor` points to lives in `info`, and is null for what is no tensor; `dims` has
        // the length that is passed -> here -> a_border_that_does_not_fit_is_refused.
        unsafe {
            check(api, "describe a tensor", get(self.session.as_ptr(), idx, &raw mut info))?;
            let info = Owned::new(info, api.ReleaseTypeInfo)?;
            check(api, "describe a tensor", (api.CastTypeInfoToTensorInfo)(info.as_ptr(), &raw mut tensor))?;
            if !tensor.is_null() {
                let status = (api.GetTensorElementType)(tensor, (&raw mut element).cast());
                check(api, "describe a tensor", status)?;
                check(api, "describe a tensor", (api.GetDimensionsCount)(tensor, &raw mut n_dims))?;
                dims.resize(n_dims, -1);
                check(api, "describe a tensor", (api.GetDimensions)(tensor, dims.as_mut_ptr(), n_dims))?;
            }
        }
        Ok(Declared { name: String::new(), element, dims })
    }
}

/// Checks that one side of the border is exactly what is expected, in any order.
pub(super) fn check_border(border: &Border<'_>, expected: &[TensorShape]) -> Result<(), BuildError> {
    let side = border.side();
    let mismatch = |text: String| Err(BuildError::new(BuildErrorKind::Mismatch, text));
    let declared = border.declared()?;
    for tensor in expected {
        let Some(found) = declared.iter().find(|d| d.name == tensor.name) else {
            let names: Vec<&str> = declared.iter().map(|d| d.name.as_str()).collect();
            return mismatch(format!(
                "the network has no {side} `{}` {:?}; it has `{}`",
                tensor.name,
                tensor.dims,
                names.join("`, `")
            ));
        };
        if found.element != ELEMENT_F32 {
            return mismatch(format!(
                "{side} `{}` of the network is not f32 (its ONNX element type is {})",
                tensor.name, found.element
            ));
        }
        if !found.dims.iter().map(|d| usize::try_from(*d).ok()).eq(tensor.dims.iter().map(|d| Some(*d))) {
            return mismatch(format!(
                "{side} `{}` of the network is {}, and the manifest makes it {:?}",
                tensor.name,
                shape_text(&found.dims),
                tensor.dims
            ));
        }
    }
    match declared.iter().find(|d| expected.iter().all(|t| t.name != d.name)) {
        Some(extra) => mismatch(format!(
            "the network has an {side} `{}` {} that the manifest does not know",
            extra.name,
            shape_text(&extra.dims)
        )),
        None => Ok(()),
    }
}

fn shape_text(dims: &[i64]) -> String {
    let dim = |d: &i64| if *d < 0 { "?".to_owned() } else { d.to_string() };
    format!("[{}]", dims.iter().map(dim).collect::<Vec<_>>().join(", "))
}
