//! A session: one network over buffers that never move.

use super::TensorShape;
use super::border::{Border, check_border};
use super::buffer::Buffer;
use super::library::{Library, Owned, check};
use crate::error::{BuildError, BuildErrorKind};
use ort::sys;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

/// Bytes of the engine's last words that are kept; a longer text is cut.
const MAX_ERROR_BYTES: usize = 1024;
/// More threads than any layer can use are a slip of the caller's.
const MAX_THREADS: usize = 256;

/// What the library may do to a graph before it runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rewriting {
    /// Everything that it knows: what frames run.
    #[default]
    All,
    /// Nothing: every node is computed as it is written. Slow; for comparison with other engines.
    Nothing,
}

/// A run that the library refused; [`Session::last_error`] has its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunFailed;

/// A network, ready to run: its inputs and outputs lie in buffers that never move.
///
/// Fields drop in the order they stand: tensors, then the session, then the memory under them.
pub struct Session {
    // The pointers that a run hands over, in the order of the names.
    input_values: Vec<*const sys::OrtValue>,
    output_values: Vec<*mut sys::OrtValue>,
    input_names: Vec<*const c_char>,
    output_names: Vec<*const c_char>,
    // What owns what those point to.
    _values: Vec<Owned<sys::OrtValue>>,
    session: Owned<sys::OrtSession>,
    _names: Vec<CString>,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    library: &'static Library,
    n_threads: usize,
    last_error: String,
}

// SAFETY: a session may be used from any one thread at a time, and all else is plain memory that
// the session owns -> ONNX Runtime's C API; `run` takes `&mut self` -> head: a_head_runs_on_another_thread.
unsafe impl Send for Session {}

impl Session {
    /// A session over the bytes of an ONNX file, whose border must be exactly `inputs` and
    /// `outputs`: names, `f32`, fixed shapes.
    ///
    /// **Determinism**: one operator at a time, a fixed number of threads, deterministic kernels. Other
    /// [`Rewriting`] rounds otherwise.
    ///
    /// **Allocation and synchronisation**: everything happens here. Threads spin between the
    /// operators of a run, where a wake-up would cost more than the wait, and stop at its end, so
    /// that the other stages of the frame have the cores to themselves.
    ///
    /// **Errors**: [`BuildErrorKind::Native`] with the library's words,
    /// [`BuildErrorKind::Mismatch`] with the tensor and both shapes.
    pub fn build(
        library: &'static Library,
        onnx: &[u8],
        n_threads: usize,
        rewriting: Rewriting,
        inputs: &[TensorShape],
        outputs: &[TensorShape],
    ) -> Result<Self, BuildError> {
        let options = session_options(library, n_threads, rewriting)?;
        let api = library.api;
        let mut session = ptr::null_mut();
        // SAFETY: environment and options are live, the bytes readable for their length (an ONNX
        // model is parsed into the library's own memory, so they may go afterwards), `session`
        // writable -> the borrows here -> head: the_model_bytes_may_go_after_build.
        let session = unsafe {
            let (env, bytes) = (library.env.as_ptr(), onnx.as_ptr().cast());
            let status =
                (api.CreateSessionFromArray)(env, bytes, onnx.len(), options.as_ptr(), &raw mut session);
            check(api, "load the network", status)?;
            Owned::new(session, api.ReleaseSession)?
        };
        check_border(&Border { api, session: &session, is_input: true }, inputs)?;
        check_border(&Border { api, session: &session, is_input: false }, outputs)?;

        let names = inputs.iter().chain(outputs).map(|t| CString::new(t.name.as_str()));
        let names: Vec<CString> = names.collect::<Result<_, _>>().map_err(|e| {
            BuildError::new(BuildErrorKind::Mismatch, "a tensor's name holds a zero byte").caused_by(e)
        })?;
        let buffers = |tensors: &[TensorShape]| -> Result<Vec<Buffer>, BuildError> {
            tensors.iter().map(|t| Buffer::zeroed(t.dims.iter().product())).collect()
        };
        let (inputs_memory, outputs_memory) = (buffers(inputs)?, buffers(outputs)?);
        let memory = inputs_memory.iter().chain(&outputs_memory);
        let values: Vec<Owned<sys::OrtValue>> = inputs
            .iter()
            .chain(outputs)
            .zip(memory)
            .map(|(tensor, buffer)| tensor_over(api, tensor, buffer))
            .collect::<Result<_, _>>()?;

        let pointers = |n: &CString| n.as_ptr();
        let (n_inputs, n_outputs) = (inputs.len(), outputs.len());
        Ok(Self {
            input_values: values.iter().take(n_inputs).map(|v| v.as_ptr().cast_const()).collect(),
            output_values: values.iter().skip(n_inputs).take(n_outputs).map(Owned::as_ptr).collect(),
            input_names: names.iter().take(n_inputs).map(pointers).collect(),
            output_names: names.iter().skip(n_inputs).take(n_outputs).map(pointers).collect(),
            _values: values,
            session,
            _names: names,
            inputs: inputs_memory,
            outputs: outputs_memory,
            library,
            n_threads,
            last_error: String::with_capacity(MAX_ERROR_BYTES),
        })
    }

    /// Values of an input; empty past the last one.
    pub fn input_mut(&mut self, idx: usize) -> &mut [f32] {
        self.inputs.get_mut(idx).map_or(&mut [], Buffer::as_mut_slice)
    }

    /// Values of an output; empty past the last one.
    pub fn output(&self, idx: usize) -> &[f32] {
        self.outputs.get(idx).map_or(&[], Buffer::as_slice)
    }

    /// Runs the network from the inputs into the outputs.
    ///
    /// **Allocation and synchronisation**: none of ours, a failure included; returns when all
    /// outputs are written.
    pub fn run(&mut self) -> Result<(), RunFailed> {
        let api = self.library.api;
        // SAFETY: session, names and values are live and as many as said; each value lies over a
        // buffer of its size that nothing borrows while `self` is borrowed mutably; an output
        // that is set is written in place and stays set; no run options are the default ones
        // -> `build`, field order -> head: outputs_are_those_computed_by_hand.
        let status = unsafe {
            (api.Run)(
                self.session.as_ptr(),
                ptr::null(),
                self.input_names.as_ptr(),
                self.input_values.as_ptr(),
                self.input_values.len(),
                self.output_names.as_ptr(),
                self.output_names.len(),
                self.output_values.as_mut_ptr(),
            )
        };
        if status.0.is_null() {
            return Ok(());
        }
        self.last_error.clear();
        // SAFETY: as in `check`; the text is copied before its status goes, into memory that is
        // already there -> ONNX Runtime's C API -> head: a_failed_run_is_an_error_and_the_next_one_works.
        unsafe {
            let text = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_bytes();
            keep(&mut self.last_error, text);
            (api.ReleaseStatus)(status.0);
        }
        Err(RunFailed)
    }

    /// The library's words on the last run that failed.
    pub fn last_error(&self) -> &str {
        &self.last_error
    }

    /// Name and version of the library, and the threads of this session.
    pub fn describe(&self) -> String {
        let threads = if self.n_threads == 1 { "thread" } else { "threads" };
        format!("onnxruntime {}, {} {threads}", self.library.version, self.n_threads)
    }
}

/// Appends as much of a text as fits into memory that is already there.
fn keep(kept: &mut String, text: &[u8]) {
    for c in text.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
        if kept.len() + c.len_utf8() > kept.capacity() {
            return;
        }
        kept.push(c);
    }
}

fn session_options(
    library: &Library,
    n_threads: usize,
    rewriting: Rewriting,
) -> Result<Owned<sys::OrtSessionOptions>, BuildError> {
    let n = c_int::try_from(n_threads).ok().filter(|_| (1..=MAX_THREADS).contains(&n_threads));
    let n = n.ok_or_else(|| {
        let text = format!("{n_threads} threads for the network; 1..={MAX_THREADS} are possible");
        BuildError::new(BuildErrorKind::Mismatch, text)
    })?;
    let api = library.api;
    let mut options = ptr::null_mut();
    // SAFETY: `options` is writable and taken over once; after that it is live, every other
    // argument is a valid number or C string, and each status is its call's own -> this block
    // -> every test of the head.
    unsafe {
        check(api, "make options", (api.CreateSessionOptions)(&raw mut options))?;
        let owned = Owned::new(options, api.ReleaseSessionOptions)?;
        let level = match rewriting {
            Rewriting::All => sys::GraphOptimizationLevel::ORT_ENABLE_ALL,
            Rewriting::Nothing => sys::GraphOptimizationLevel::ORT_DISABLE_ALL,
        };
        let sequential = sys::ExecutionMode::ORT_SEQUENTIAL;
        check(api, "set its threads", (api.SetIntraOpNumThreads)(options, n))?;
        check(api, "set its threads", (api.SetInterOpNumThreads)(options, 1))?;
        check(api, "run in sequence", (api.SetSessionExecutionMode)(options, sequential))?;
        check(api, "set its optimisation", (api.SetSessionGraphOptimizationLevel)(options, level))?;
        check(api, "be deterministic", (api.SetDeterministicCompute)(options, true))?;
        // Shapes are fixed: one block for all that lies between the layers, kept from run to run.
        check(api, "keep its memory", (api.EnableCpuMemArena)(options))?;
        check(api, "plan its memory", (api.EnableMemPattern)(options))?;
        for (key, value) in [
            (c"session.load_model_format", c"ONNX"),
            (c"session.intra_op.allow_spinning", c"1"),
            (c"session.force_spinning_stop", c"1"),
        ] {
            let status = (api.AddSessionConfigEntry)(options, key.as_ptr(), value.as_ptr());
            check(api, "be configured", status)?;
        }
        Ok(owned)
    }
}

/// A tensor that lies over a buffer.
fn tensor_over(
    api: &sys::OrtApi,
    tensor: &TensorShape,
    buffer: &Buffer,
) -> Result<Owned<sys::OrtValue>, BuildError> {
    let dims: Vec<i64> = tensor.dims.iter().map(|d| i64::try_from(*d).unwrap_or(i64::MAX)).collect();
    let (mut info, mut value) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the outs are writable and taken over once; the buffer holds as many values as its
    // size says and outlives the value (field order of `Session`); the library checks the shape
    // against that size -> `Session::build` -> head: sessions_come_and_go.
    unsafe {
        let kind = sys::OrtAllocatorType::OrtDeviceAllocator;
        let status = (api.CreateCpuMemoryInfo)(kind, sys::OrtMemType::OrtMemTypeDefault, &raw mut info);
        check(api, "name its memory", status)?;
        let info = Owned::new(info, api.ReleaseMemoryInfo)?;
        let status = (api.CreateTensorWithDataAsOrtValue)(
            info.as_ptr(),
            buffer.ptr.as_ptr().cast(),
            size_of_val(buffer.as_slice()),
            dims.as_ptr(),
            dims.len(),
            sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            &raw mut value,
        );
        check(api, "make a tensor", status)?;
        Owned::new(value, api.ReleaseValue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut kept = String::with_capacity(8);
        let capacity = kept.capacity();
        keep(&mut kept, "äöüßäöüßäöüßäöüßäöüßäöüß".as_bytes());
        assert_eq!(kept.capacity(), capacity);
        assert!(kept.len() > capacity - 2 && "äöüßäöüßäöüßäöüßäöüßäöüß".starts_with(&kept));
        kept.clear();
        keep(&mut kept, b"a\xffb");
        assert_eq!(kept, "ab");
    }
}
