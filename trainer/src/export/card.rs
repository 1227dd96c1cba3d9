//! Card: what a package says of itself to people.

use super::ExportArgs;
use crate::config::TrainConfig;
use pilotis_spec::{HeadLayout, InputStatistics};
use std::fmt::Write;

/// The model card of an export; figures are added by whoever measured them.
pub fn card(config: &TrainConfig, statistics: &InputStatistics, args: &ExportArgs) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_card(&mut text, config, statistics, args);
    text
}

fn write_card(
    text: &mut String,
    config: &TrainConfig,
    statistics: &InputStatistics,
    args: &ExportArgs,
) -> std::fmt::Result {
    let (min, max, cell) = (config.grid.min(), config.grid.max(), config.grid.cell());
    let head = match &config.head {
        HeadLayout::Anchors(_) => "anchor head (PointPillars)",
        HeadLayout::Centers(_) => "centre head (CenterPoint-pillar)",
    };
    writeln!(text, "# {}\n", config.name)?;
    if args.random_weights {
        writeln!(
            text,
            "**Random weights (seed {}): this package has the size and shape of the model and detects nothing.**\n",
            args.seed
        )?;
    }
    writeln!(text, "| | |\n|---|---|")?;
    writeln!(text, "| classes | {} |", config.classes.join(", "))?;
    writeln!(text, "| network | pillars, {head}, backbone channels {:?} |", config.backbone.channels)?;
    writeln!(
        text,
        "| range | x {}..{} m, y {}..{} m, z {}..{} m; cells of {} x {} m |",
        min[0], max[0], min[1], max[1], min[2], max[2], cell[0], cell[1]
    )?;
    writeln!(
        text,
        "| points | layout `{}`, intensity 0..{} |",
        config.points.layout, config.points.intensity_full_scale
    )?;
    if statistics.n_frames > 0 {
        writeln!(
            text,
            "| training data in range | {:.0} points a frame, intensity {:.3} in the mean, height {:.2} m in the mean ({} frames) |",
            statistics.points_per_frame, statistics.intensity_mean, statistics.z_mean_m, statistics.n_frames
        )?;
    }
    writeln!(
        text,
        "| schedule | {} epochs, batches of {}, one cycle to {} |",
        config.train.epochs, config.train.batch_size, config.train.learning_rate
    )
}
