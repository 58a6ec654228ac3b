//! Notes about fields of a source that have no effect, because another field says so: the document is valid, but
//! it doesn't do what its author may expect. Pure.

use crate::{
    problem::{Notes, Path, Problem},
    quantity::Duration,
    source::{
        Compression, FakeLogSourceSpec, Generator, Log, Output, PersistentVolumeClaim, PodTemplate,
        Stream, Volume, VolumeAccessMode, Workload,
    },
};

/// The fields of a source.
pub(super) fn notes(path: &Path, spec: &FakeLogSourceSpec, notes: &mut Vec<Problem>) {
    let mut note = Notes(notes);
    replicas(path, spec, &mut note);
    volume(&path.field("volume"), spec, &mut note);
    if let Some(template) = &spec.pod_template {
        pod_template(&path.field("podTemplate"), template, &mut note);
    }
    if spec.time_zone.as_str() != "UTC" && !spec.generators.iter().any(has_local_time) {
        note.add(path.field("timeZone"), "no line contains a local time");
    }
    let end = spec.stop_after.as_ref().and_then(|stop| stop.duration);
    for (index, generator) in spec.generators.iter().enumerate() {
        let path = path.field("generators").index(index);
        rotation(&path.field("output"), &generator.output, &mut note);
        for log in generator.logs().into_iter().filter_map(|(_, log)| log) {
            log.notes(&path, generator, spec.common(), &mut note);
        }
        if let Some(end) = end {
            for (index, stream) in generator.streams.iter().enumerate() {
                after_the_end(&path.field("streams").index(index), stream, end, &mut note);
            }
        }
    }
}

fn replicas(path: &Path, spec: &FakeLogSourceSpec, note: &mut Notes<'_>) {
    let why = match spec.workload {
        Some(Workload::DaemonSet) => "a DaemonSet runs one pod on each node",
        Some(Workload::Sidecar) => "generators are injected into pods of other workloads",
        _ => return,
    };
    if spec.replicas != FakeLogSourceSpec::DEFAULT_REPLICAS {
        note.add(path.field("replicas"), why);
    }
}

fn volume(path: &Path, spec: &FakeLogSourceSpec, note: &mut Notes<'_>) {
    let Some(volume) = &spec.volume else { return };
    let writes_files =
        spec.generators.iter().any(|generator| matches!(generator.output, Output::File(_)));
    let template = spec.pod_template.as_ref();
    let has_containers = template.is_some_and(has_containers);
    if spec.workload != Some(Workload::Sidecar) && !writes_files && !has_containers {
        note.add(path.clone(), "no generator writes a file");
    }
    let Volume::PersistentVolumeClaim(claim) = volume else { return };
    let PersistentVolumeClaim { claim_name, storage_class_name, size, access_mode } = claim;
    let Some(name) = claim_name else { return };
    let path = path.field("persistentVolumeClaim");
    for (field, is_set) in [
        ("storageClassName", storage_class_name.is_some()),
        ("size", size.is_some()),
        ("accessMode", *access_mode != VolumeAccessMode::default()),
    ] {
        if is_set {
            note.add(path.field(field), format!("no claim is created, `{name}` is used"));
        }
    }
}

fn has_containers(template: &PodTemplate) -> bool {
    !template.containers.is_empty() || !template.init_containers.is_empty()
}

fn pod_template(path: &Path, template: &PodTemplate, note: &mut Notes<'_>) {
    if template.automount_service_account_token.is_some() && !has_containers(template) {
        let why = "there are no containers besides the generator, which never has the token";
        note.add(path.field("automountServiceAccountToken"), why);
    }
    let containers = || template.init_containers.iter().chain(&template.containers);
    for (index, volume) in template.volumes.iter().enumerate() {
        let is_mounted = containers()
            .flat_map(|container| container.volume_mounts.iter().flatten())
            .any(|mount| mount.name == volume.name);
        if !is_mounted {
            note.add(path.field("volumes").index(index), "no container mounts this volume");
        }
    }
}

fn rotation(path: &Path, output: &Output, note: &mut Notes<'_>) {
    let Output::File(file) = output else { return };
    let Some(rotation) = &file.rotation else { return };
    let path = path.field("file").field("rotation");
    let is_compressed = rotation.compress != Compression::None;
    if rotation.keep.get() == 0 && is_compressed {
        note.add(path.field("compress"), "with `keep: 0` there are no rotated files");
    }
    if rotation.delay_compress && !is_compressed {
        note.add(path.field("delayCompress"), "rotated files are not compressed");
    } else if rotation.delay_compress && rotation.keep.get() == 1 {
        let why = "with `keep: 1` a rotated file is removed when it would be compressed";
        note.add(path.field("delayCompress"), why);
    }
}

/// Times that a run of this duration doesn't reach.
fn after_the_end(path: &Path, stream: &Stream, end: Duration, note: &mut Notes<'_>) {
    if let Some(delay) = stream.initial_delay.filter(|delay| *delay >= end) {
        let why = format!("no line is due: the source ends after {end}, this is {delay}");
        note.0.push(Problem::new(path.field("initialDelay"), why));
    }
    for (index, surge) in stream.surges.iter().enumerate() {
        if surge.every >= end {
            let path = path.field("surges").index(index);
            note.add(path, format!("the source ends after {end}, before the first surge"));
        }
    }
}

/// Whether lines of a generator depend on the time zone.
fn has_local_time(generator: &Generator) -> bool {
    generator.log().is_none_or(Log::has_local_time)
}
