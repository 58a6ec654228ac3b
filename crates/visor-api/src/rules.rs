//! The rules that a schema can't express: between fields, between generators and between sources.
//! Each problem has the path of the field to change, and says what to do. Pure.

mod files;
mod kubernetes;
mod pods;
mod resources;
mod streams;
mod timing;
mod unused;

use std::collections::HashMap;

use kube::ResourceExt;

use crate::{
    FakeLogSource, messages,
    problem::{Path, Problem},
    quantity::Duration,
    source::{Common, FakeLogSourceSpec, Generator, Volume, Workload},
};

pub(crate) use files::{conflicts, output};
pub use files::{is_url, literal_parts};
pub(crate) use pods::name;
pub(crate) use streams::stream;

/// All problems of one source. What the schema checks is assumed.
pub fn check(source: &FakeLogSource) -> Vec<Problem> {
    let path = Path::root().field("spec");
    let mut problems = Vec::new();
    if let Some(text) = &source.metadata.name {
        name(text, &mut problems);
    }
    kubernetes::metadata(source, &mut problems);
    own_fields(&path, &source.spec, &mut problems);
    for (index, item) in source.spec.generators.iter().enumerate() {
        let path = path.field("generators").index(index);
        generator(&path, item, source.spec.common(), &mut problems);
    }
    let generators = source.spec.generators.iter().enumerate();
    problems.extend(conflicts(
        generators.map(|(index, item)| (index, item.name.as_str(), &item.output)),
    ));
    problems
}

/// Warnings about one source: values that may not be what was meant.
pub fn notes(source: &FakeLogSource) -> Vec<Problem> {
    let path = Path::root().field("spec");
    let mut notes = Vec::new();
    unused::notes(&path, &source.spec, &mut notes);
    kubernetes::notes(&path, &source.spec, &mut notes);
    let path = path.field("generators");
    for (index, generator) in source.spec.generators.iter().enumerate() {
        files::notes(&path.index(index).field("output"), &generator.output, &mut notes);
    }
    notes
}

/// All conflicts between sources that run together, each with the index of the source to change.
/// The problems of each source by itself ([`check`]) are left out.
pub fn check_together(sources: &[FakeLogSource]) -> Vec<(usize, Problem)> {
    let mut problems = Vec::new();
    let mut names = HashMap::new();
    for (index, source) in sources.iter().enumerate() {
        let name = (source.namespace(), source.name_any());
        if names.insert(name, index).is_some() {
            let message = format!(
                "another source in these documents has the name `{}`; choose another name",
                source.name_any()
            );
            problems
                .push((index, Problem::new(Path::root().field("metadata").field("name"), message)));
        }
    }
    problems.extend(files::conflicts_between(sources));
    problems
}

/// The fields of the spec except its generators.
pub(crate) fn own_fields(path: &Path, spec: &FakeLogSourceSpec, problems: &mut Vec<Problem>) {
    if let Err(message) = spec.time_zone.meaning() {
        problems.push(Problem::new(path.field("timeZone"), message));
    }
    if let Some(stop) = &spec.stop_after {
        let path = path.field("stopAfter");
        if stop.lines.is_none() && stop.duration.is_none() {
            problems.push(Problem::new(path.clone(), messages::EMPTY_STOP_AFTER));
        }
        if stop.duration == Some(Duration::default()) {
            let message = "must be more than 0s; to write no lines, use `suspend: true`";
            problems.push(Problem::new(path.field("duration"), message));
        }
    }
    if spec.workload == Some(Workload::Job) && spec.stop_after.is_none() {
        problems.push(Problem::new(path.field("workload"), messages::JOB_WITHOUT_END));
    }
    if spec.workload.is_some_and(|workload| workload != Workload::Job) && spec.stop_after.is_some()
    {
        problems.push(Problem::new(path.field("workload"), messages::PODS_WITH_END));
    }
    if let Some(Volume::HostPath(volume)) = &spec.volume
        && volume.path.split('/').any(|component| component == "..")
    {
        let path = path.field("volume").field("hostPath").field("path");
        problems.push(Problem::new(path, messages::PATH_WITH_PARENT));
    }
    resources::volume(path, spec, problems);
    if spec.workload == Some(Workload::Sidecar) {
        pods::sidecar(path, spec, problems);
    }
    if let Some(template) = &spec.pod_template {
        let path = path.field("podTemplate");
        pods::template(&path, template, problems);
        resources::template(&path, template, problems);
    }
    kubernetes::spec(path, spec, problems);
}

/// A generator by itself, of a source with this in common.
pub(crate) fn generator(
    path: &Path,
    generator: &Generator,
    common: Common,
    problems: &mut Vec<Problem>,
) {
    log(path, generator, problems);
    let log = generator.log();
    if let Some(log) = log {
        log.check_generator(path, generator, common, problems);
    } else {
        let fields = generator.logs().map(|(field, _)| field);
        problems.push(Problem::new(path.clone(), messages::exactly_one(&fields)));
    }
    for (index, item) in generator.streams.iter().enumerate() {
        stream(&path.field("streams").index(index), item, log, problems);
    }
    output(&path.field("output"), &generator.output, problems);
}

/// The log of a generator by itself, or the logs if it has several.
pub(crate) fn log(path: &Path, generator: &Generator, problems: &mut Vec<Problem>) {
    for (field, log) in generator.logs() {
        if let Some(log) = log {
            log.check(&path.field(field), problems);
        }
    }
}
