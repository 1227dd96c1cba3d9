//! Gates: whether a run is good enough to go on.
//!
//! A gate is a TOML file that names everything a run could be made to look good by: the labels, the
//! rules of counting, the classes, the numbers of frames and objects, the machine that times were taken
//! on. What is missing, not known or not comparable fails; nothing passes by being absent.

mod config;
#[cfg(test)]
mod tests;
mod verdict;

pub use config::{
    ClassGate, ClassMetric, DatasetGate, FigureGate, GATE_SCHEMA_VERSION, Gate, GateError, LatencyGate,
    OverallGate, OverallMetric, ReferenceGate,
};
pub use verdict::{Check, Verdict};

use crate::analysis::{ClassFigures, Percentiles};
use crate::run::Run;
use verdict::Checks;

/// Judges a run, beside the reference that the gate names.
///
/// The runs are sound ([`Run::read`] and [`Run::new`] see to that): no number in them is NaN, no frame
/// is there twice, no figure says anything but what the frames say.
pub fn judge(gate: &Gate, run: &Run, reference: Option<&Run>) -> Verdict {
    let mut checks = Checks::default();
    same_data(&mut checks, "", gate, run);
    latency(&mut checks, &gate.latency, run);
    let mean = |r: &Run| Some(r.analysis().mean_average_precision());
    for (metric, floor) in &gate.overall.min {
        checks.at_least(format!("all, {}", metric.title()), mean(run), *floor);
    }
    for (name, class) in &gate.classes {
        of_class(&mut checks, name, class, figures_of(run, name));
    }
    for name in run.set().classes().iter().filter(|name| !gate.classes.contains_key(*name)) {
        checks.add(
            format!("{name}, in the gate"),
            "no".to_owned(),
            "every class of the run".to_owned(),
            false,
        );
    }
    for (name, figure) in &gate.figures {
        let value = run.figures().get(name).copied().flatten();
        if let Some(floor) = figure.min {
            checks.at_least(name.clone(), value, floor);
        }
        if let Some(ceiling) = figure.max {
            checks.at_most(name.clone(), value, ceiling);
        }
    }
    if let Some(wanted) = &gate.reference {
        against(&mut checks, gate, wanted, run, reference);
    }
    checks.verdict()
}

fn figures_of<'a>(run: &'a Run, class: &str) -> Option<&'a ClassFigures> {
    run.analysis().classes.iter().map(|c| &c.figures).find(|f| f.name == class)
}

fn same_data(checks: &mut Checks, whose: &str, gate: &Gate, run: &Run) {
    checks.equal(format!("{whose}dataset"), run.set().dataset_sha256(), &gate.dataset.sha256);
    checks.no_fewer(format!("{whose}frames"), run.set().frames().len(), gate.dataset.min_frames);
    let rules = run.analysis().rules;
    checks.add(format!("{whose}rules"), format!("{rules}"), format!("{}", gate.rules), rules == gate.rules);
}

fn latency(checks: &mut Checks, gate: &LatencyGate, run: &Run) {
    let platform = &run.about().platform;
    checks.equal("machine".to_owned(), &platform.machine, &gate.machine);
    checks.equal("device".to_owned(), &platform.device, &gate.device);
    checks.equal("precision".to_owned(), &platform.precision, &gate.precision);
    let latency = run.analysis().latency;
    let n_timed = latency.map_or(0, |l| l.n_frames);
    checks.no_fewer("frames timed".to_owned(), n_timed, run.set().frames().len());
    // A clock that did not run gives times of nothing.
    let p99 = latency.map(|l| l.frame).filter(|f: &Percentiles| f.min_ms > 0.0).map(|f| f.p99_ms);
    checks.at_most("frame p99, ms".to_owned(), p99, gate.p99_ms);
}

fn of_class(checks: &mut Checks, name: &str, gate: &ClassGate, figures: Option<&ClassFigures>) {
    let Some(figures) = figures else {
        checks.add(format!("{name}, in the run"), "no".to_owned(), "yes".to_owned(), false);
        return;
    };
    checks.no_fewer(format!("{name}, objects"), figures.n_objects, gate.min_objects);
    checks.no_fewer(format!("{name}, boxes"), figures.n_detections, 1);
    for (metric, floor) in &gate.min {
        checks.at_least(format!("{name}, {}", metric.title()), metric.of(figures), *floor);
    }
    for (metric, ceiling) in &gate.max {
        checks.at_most(format!("{name}, {}", metric.title()), metric.of(figures), *ceiling);
    }
}

fn against(checks: &mut Checks, gate: &Gate, wanted: &ReferenceGate, run: &Run, reference: Option<&Run>) {
    let Some(reference) = reference else {
        checks.add("reference".to_owned(), "none".to_owned(), "a run".to_owned(), false);
        return;
    };
    checks.equal(
        "reference, model".to_owned(),
        &reference.about().model.package_sha256,
        &wanted.package_sha256,
    );
    same_data(checks, "reference, ", gate, reference);
    for (metric, most) in &gate.overall.max_loss {
        let [new, old] = [run, reference].map(|r| Some(r.analysis().mean_average_precision()));
        let loss = old.zip(new).map(|(old, new)| old - new);
        checks.at_most(format!("all, loss of {}", metric.title()), loss, *most);
    }
    for (name, class) in &gate.classes {
        for (metric, most) in &class.max_loss {
            let [new, old] = [run, reference].map(|r| figures_of(r, name).and_then(|f| metric.of(f)));
            let loss = old.zip(new).map(|(old, new)| if metric.is_gain() { old - new } else { new - old });
            checks.at_most(format!("{name}, loss of {}", metric.title()), loss, *most);
        }
    }
    for (name, figure) in &gate.figures {
        if let Some(most) = figure.max_loss {
            let [new, old] = [run, reference].map(|r| r.figures().get(name).copied().flatten());
            checks.at_most(format!("loss of {name}"), old.zip(new).map(|(old, new)| old - new), most);
        }
    }
}
