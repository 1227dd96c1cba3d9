//! TensorRT: the network of a package, as a plan for a card.
//!
//! The package's `fp32` network is read back, [lowered](pilotis_network::lower()) to the form and the precision
//! that TensorRT runs best, and built into a plan, which is kept by everything that it depends on. Without a
//! card all of this works as well, up to the plan.

pub mod calibration;
mod head;
pub mod measure;
pub mod plan_file;
pub mod roofline;
pub mod text;

pub use head::{TensorRtHead, tensorrt};
pub use measure::RangeMeter;
pub use pilotis_network::{Calibration, Precision};
pub use plan_file::{PLAN_DIR_VARIABLE, PlanCache, PlanFile, PlanHeader, PlanKey};
pub use text::PlanText;

use crate::bev::CanvasFormat;
use crate::device::trt::{BuildOptions, InputFormat, Library};
use crate::error::{BuildError, BuildErrorKind};
use crate::package::{Package, sha256_hex};
use pilotis_network::onnx::{OnnxError, OnnxMeta, from_onnx};
use pilotis_network::{Lowering, Network, lower};
use pilotis_spec::Stage;
use std::time::Instant;

/// The network of a package in a precision, ready to be built for a card.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The ONNX file that TensorRT gets.
    pub onnx: Vec<u8>,
    /// What a plan of it is kept by.
    pub key: PlanKey,
    /// How the canvas lies that it reads.
    pub canvas: CanvasFormat,
    precision: Precision,
    format: InputFormat,
    model: String,
    package: String,
}

/// How a plan came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanOrigin {
    /// Built just now.
    Built,
    /// Taken from where plans are kept.
    Kept,
}

impl Lowered {
    /// Lowers the network of a package.
    ///
    /// `targets` are compute capabilities, such as 89 for an RTX 4070. A calibration is that of the package
    /// (`calibration.toml`) unless another is given.
    ///
    /// **Errors**: a package without an `fp32` network, or with one that is not of convolutions; a precision that
    /// needs a calibration, where there is none or one of another network.
    pub fn of(
        package: &Package,
        precision: Precision,
        targets: &[i32],
        calibration: Option<&Calibration>,
        library: &Library,
    ) -> Result<Self, BuildError> {
        let network = read_network(package)?;
        let own = match (precision.needs_calibration(), calibration) {
            (true, None) => Some(calibration::of_package(package)?),
            _ => None,
        };
        let name = &package.manifest().name;
        let lowered =
            Self::of_network(&network, name, precision, targets, calibration.or(own.as_ref()), library);
        let lowered = lowered.map_err(|e| refuse(package, &e))?;
        Ok(Self { package: package.digest().to_owned(), ..lowered })
    }

    /// Lowers a network that is of no package.
    ///
    /// **Errors**: those of [`lower()`].
    pub fn of_network(
        network: &Network,
        name: &str,
        precision: Precision,
        targets: &[i32],
        calibration: Option<&Calibration>,
        library: &Library,
    ) -> Result<Self, OnnxError> {
        let meta = OnnxMeta {
            producer: "pilotis-runtime".to_owned(),
            graph: name.to_owned(),
            doc: String::new(),
            properties: vec![("pilotis.precision".to_owned(), precision.name().to_owned())],
        };
        let lowering = Lowering { precision, calibration, on_host: false };
        let onnx = lower(network, &lowering, &meta)?;
        let format = input_format(precision, network.input_shape[0]);
        let key = PlanKey {
            onnx_sha256: sha256_hex(&onnx),
            library: library.describe(),
            precision: precision.name().to_owned(),
            targets: targets.to_vec(),
            canvas: format.name().to_owned(),
        };
        let canvas = CanvasFormat { channels_last: true, half: precision.is_half() };
        Ok(Self { onnx, key, canvas, precision, format, model: name.to_owned(), package: String::new() })
    }

    /// The plan, from where plans are kept or built and then kept.
    ///
    /// **Errors**: those of [`Library::build_plan`] and of writing the file.
    pub fn plan(
        &self,
        library: &'static Library,
        cache: &PlanCache,
        rebuild: bool,
    ) -> Result<(PlanFile, PlanOrigin), BuildError> {
        if !rebuild && let Some(file) = cache.get(&self.key) {
            return Ok((file, PlanOrigin::Kept));
        }
        let file = self.build(library)?;
        cache.put(&file)?;
        Ok((file, PlanOrigin::Built))
    }

    /// Builds the plan, whether there is one or not.
    ///
    /// **Errors**: those of [`Library::build_plan`].
    pub fn build(&self, library: &'static Library) -> Result<PlanFile, BuildError> {
        let options = BuildOptions {
            compute_capabilities: self.key.targets.clone(),
            input_format: self.format,
            // What is called fp32 computes in f32.
            allow_tf32: false,
        };
        let start = Instant::now();
        let plan = library.build_plan(&self.onnx, &options).map_err(|e| e.at(Stage::Head))?;
        let build_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let plan = plan.bytes().to_vec();
        let header = PlanHeader {
            model: self.model.clone(),
            package: self.package.clone(),
            key: self.key.clone(),
            plan_sha256: sha256_hex(&plan),
            plan_bytes: plan.len() as u64,
            build_ms,
        };
        Ok(PlanFile { header, plan })
    }

    /// What its convolutions compute in.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

/// The `fp32` network of a package as plain data.
pub fn read_network(package: &Package) -> Result<Network, BuildError> {
    from_onnx(package.network("fp32")?).map_err(|e| refuse(package, &e))
}

/// Channels last is how TensorRT computes, so nothing is copied at the border; in eights, so that loads are wide.
fn input_format(precision: Precision, n_channels: usize) -> InputFormat {
    if precision.is_half() && n_channels.is_multiple_of(8) {
        InputFormat::ChannelsLastBy8
    } else {
        InputFormat::ChannelsLast
    }
}

fn refuse(package: &Package, error: &OnnxError) -> BuildError {
    let text = format!("package `{}`: {error}", package.dir().display());
    BuildError::new(BuildErrorKind::Package, text).at(Stage::Head)
}
