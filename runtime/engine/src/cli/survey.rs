//! Survey: what a machine has that Pilotis can use, as JSON.

use super::libraries;
use super::machine::Machine;
use pilotis_runtime::BuildErrorKind;
use pilotis_runtime::bev::dense::Isa;
use pilotis_runtime::device::cuda::driver::MIN_VERSION;
use pilotis_runtime::device::cuda::info::MIN_COMPUTE;
use pilotis_runtime::device::cuda::{Device, DeviceInfo, Driver, nvml};
use pilotis_runtime::device::native_parts::{Places, SETUP_COMMAND};
use pilotis_runtime::device::onnxruntime::Library;
use pilotis_runtime::device::{DeviceChoice, Resolved};
use serde::Serialize;

/// How the files of TensorRT's two kinds start.
const TENSORRT_NAMES: [&str; 2] = ["libnvinfer", "libtensorrt_rtx"];

/// Everything found, what would be used, and what is missing.
#[derive(Serialize)]
pub(super) struct Survey {
    pub(super) pilotis: &'static str,
    pub(super) machine: Machine,
    pub(super) encoder_isa: &'static str,
    pub(super) cuda: Cuda,
    pub(super) tensorrt: Vec<String>,
    pub(super) onnxruntime: OnnxRuntime,
    pub(super) uses: Uses,
    pub(super) missing: Vec<Missing>,
    /// Whether a frame can be run.
    pub(super) can_run: bool,
}

/// The NVIDIA driver and its devices.
#[derive(Serialize)]
pub(super) struct Cuda {
    /// Version of CUDA that the driver supports.
    pub(super) version: Option<String>,
    /// Version of the driver, where NVML tells.
    pub(super) driver: Option<String>,
    pub(super) is_emulated: bool,
    /// Why no device can be used.
    pub(super) problem: Option<String>,
    pub(super) has_nvml: bool,
    pub(super) needs_version: String,
    pub(super) needs_compute: String,
    pub(super) devices: Vec<Card>,
    #[serde(skip)]
    kind: Option<BuildErrorKind>,
}

/// A device of the driver.
#[derive(Serialize)]
pub(super) struct Card {
    pub(super) ordinal: u32,
    pub(super) name: String,
    pub(super) compute: String,
    pub(super) memory_bytes: u64,
    pub(super) free_bytes: Option<u64>,
    pub(super) n_multiprocessors: u32,
    pub(super) l2_bytes: u64,
    pub(super) memory_bytes_per_s: u64,
    pub(super) clock_mhz: Option<u32>,
    pub(super) power_w: Option<f64>,
    pub(super) temperature_c: Option<u32>,
    /// Why it cannot be used.
    pub(super) problem: Option<String>,
}

/// The network library.
#[derive(Serialize)]
pub(super) struct OnnxRuntime {
    pub(super) path: Option<String>,
    pub(super) version: Option<String>,
    /// Why it cannot be used.
    pub(super) problem: Option<String>,
}

/// What a frame would run on.
#[derive(Serialize)]
pub(super) struct Uses {
    /// What `--device auto` comes to; `None` where it is an error.
    pub(super) device: Option<String>,
    /// Why it is not a CUDA device.
    pub(super) why_not_cuda: Option<String>,
    /// What runs the network.
    pub(super) network: Option<String>,
}

/// Something that is not there.
#[derive(Serialize)]
pub(super) struct Missing {
    pub(super) what: &'static str,
    /// Whether no frame can be run without it.
    pub(super) is_needed: bool,
    pub(super) what_to_do: String,
}

impl Survey {
    /// This machine, now.
    pub(super) fn of_this_machine() -> Self {
        let places = Places::from_env();
        let library_path = std::env::var_os("LD_LIBRARY_PATH");
        let find = |prefix| libraries::find(prefix, library_path.as_deref(), places.cache().as_deref());
        let tensorrt = TENSORRT_NAMES.into_iter().flat_map(find);
        let tensorrt = tensorrt.map(|path| path.display().to_string()).collect();
        let cuda = Cuda::survey();
        let onnxruntime = OnnxRuntime::survey(&places);
        let uses = Uses::resolve(&onnxruntime);
        let missing = missing(&cuda, &onnxruntime, &uses);
        Self {
            pilotis: env!("CARGO_PKG_VERSION"),
            machine: Machine::this(),
            encoder_isa: Isa::detect().name(),
            tensorrt,
            can_run: missing.iter().all(|m| !m.is_needed),
            cuda,
            onnxruntime,
            uses,
            missing,
        }
    }
}

impl Cuda {
    fn survey() -> Self {
        let version = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        let mut cuda = Self {
            version: None,
            driver: None,
            is_emulated: false,
            problem: None,
            has_nvml: nvml::is_present(),
            needs_version: version(MIN_VERSION),
            needs_compute: version(MIN_COMPUTE),
            devices: Vec::new(),
            kind: None,
        };
        match Driver::open() {
            Err(e) => {
                cuda.kind = Some(e.kind());
                cuda.problem = Some(e.to_string());
            }
            Ok(driver) => {
                cuda.version = Some(version(driver.version()));
                cuda.is_emulated = driver.is_emulator();
                for ordinal in 0..driver.n_devices() {
                    match DeviceInfo::of(driver, ordinal) {
                        Ok(info) => {
                            let readings = nvml::read(&info);
                            cuda.driver = cuda.driver.or_else(|| readings.driver_version.clone());
                            cuda.devices.push(Card::survey(info, &readings));
                        }
                        Err(e) => cuda.problem = Some(e.to_string()),
                    }
                }
            }
        }
        cuda
    }
}

impl Card {
    fn survey(info: DeviceInfo, readings: &nvml::Readings) -> Self {
        let memory = Device::open(info.ordinal).and_then(|device| device.memory());
        let (free_bytes, problem) = match memory {
            Ok(memory) => (Some(memory.free_bytes), None),
            Err(e) => (readings.memory_free_bytes, Some(e.to_string())),
        };
        Self {
            ordinal: info.ordinal,
            compute: format!("{}.{}", info.compute.0, info.compute.1),
            memory_bytes: info.memory_bytes,
            free_bytes,
            n_multiprocessors: info.n_multiprocessors,
            l2_bytes: info.l2_bytes,
            memory_bytes_per_s: info.memory_bytes_per_s(),
            clock_mhz: readings.clock_mhz,
            power_w: readings.power_mw.map(|mw| f64::from(mw) / 1e3),
            temperature_c: readings.temperature_c,
            problem,
            name: info.name,
        }
    }
}

impl OnnxRuntime {
    fn survey(places: &Places) -> Self {
        let path = match places.onnxruntime() {
            Ok(path) => path,
            Err(e) => return Self { path: None, version: None, problem: Some(e.to_string()) },
        };
        let (version, problem) = match Library::load(&path) {
            Ok(library) => (Some(library.version().to_owned()), None),
            Err(e) => (None, Some(e.to_string())),
        };
        Self { path: Some(path.display().to_string()), version, problem }
    }
}

impl Uses {
    fn resolve(onnxruntime: &OnnxRuntime) -> Self {
        let (device, why_not_cuda) = match DeviceChoice::Auto.resolve() {
            Ok(resolved) => {
                let device = Some(resolved.to_string());
                let Resolved::Cpu { why_not_cuda } = resolved else {
                    return Self { device, why_not_cuda: None, network: onnxruntime.network() };
                };
                (device, why_not_cuda)
            }
            Err(e) => (None, Some(e.to_string())),
        };
        Self { device, why_not_cuda, network: onnxruntime.network() }
    }
}

impl OnnxRuntime {
    fn network(&self) -> Option<String> {
        self.version.as_ref().map(|version| format!("ONNX Runtime {version} on the CPU"))
    }
}

fn missing(cuda: &Cuda, onnxruntime: &OnnxRuntime, uses: &Uses) -> Vec<Missing> {
    let mut missing = Vec::new();
    if let Some(problem) = &onnxruntime.problem {
        let what_to_do = if problem.contains(SETUP_COMMAND) {
            problem.clone()
        } else {
            format!("{problem}: run `{SETUP_COMMAND}`, or let ORT_DYLIB_PATH name another library")
        };
        missing.push(Missing { what: "ONNX Runtime", is_needed: true, what_to_do });
    }
    if uses.device.is_none() {
        let what_to_do = uses.why_not_cuda.clone().unwrap_or_default();
        missing.push(Missing { what: "the emulator asked for", is_needed: true, what_to_do });
    } else if let Some(what_to_do) = uses.why_not_cuda.clone() {
        let is_driver = cuda.kind == Some(BuildErrorKind::NativePartMissing);
        let what = if is_driver { "an NVIDIA driver" } else { "a CUDA device that can be used" };
        missing.push(Missing { what, is_needed: false, what_to_do });
    }
    if cuda.version.is_some() && !cuda.is_emulated && !cuda.has_nvml {
        let what_to_do = "libnvidia-ml.so.1 comes with the NVIDIA driver; without it the driver's version, clocks and temperature stay unknown".to_owned();
        missing.push(Missing { what: "NVML", is_needed: false, what_to_do });
    }
    missing
}
