//! What an API server or a kubelet would reject in the pods of a source, by the rules of Kubernetes
//! 1.29 to 1.36 (`pkg/apis/core/validation`): so people read it before they apply a source, with its
//! line. Values of enumerations and ranges of numbers are in the schema
//! ([`definition`](crate::definition)), quantities and mounts are checked in `resources`. Pure.
//!
//! | module | idea |
//! |---|---|
//! | `names` | DNS labels, names of labels, ports and variables |
//! | `container` | a container: ports, variables, mounts, security |
//! | `probe` | probes, and the handlers of a container's lifecycle |
//! | `volume` | volumes, and claims |
//! | `scheduling` | tolerations, affinity, spreading |
//! | `pod` | the rest of a pod |
//! | `versions` | what older versions reject |

mod container;
mod names;
mod pod;
mod probe;
mod scheduling;
mod versions;
mod volume;

use crate::{
    FakeLogSource,
    message::shown,
    messages,
    problem::{Path, Problem},
    source::{FakeLogSourceSpec, PodTemplate},
};

/// Collects the problems.
struct Check<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn add(&mut self, path: Path, message: impl AsRef<str>) {
        self.problems.push(Problem::new(path, message));
    }

    /// Checks a text; `rule` returns what it must be.
    fn text(&mut self, path: Path, text: &str, rule: fn(&str) -> Option<&'static str>) {
        if text.is_empty() {
            self.add(path, "must not be empty");
        } else if let Some(wanted) = rule(text) {
            self.add(path, format!("must be {wanted}; found `{}`", shown(text)));
        }
    }

    /// Checks that exactly one of these fields is set.
    fn one_field(&mut self, path: &Path, fields: &[(&str, bool)]) {
        if fields.iter().filter(|(_, is_set)| *is_set).count() != 1 {
            let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            self.add(path.clone(), messages::exactly_one(&names));
        }
    }
}

/// The metadata of a source.
pub(super) fn metadata(source: &FakeLogSource, problems: &mut Vec<Problem>) {
    let mut check = Check { problems };
    let path = Path::root().field("metadata");
    if let Some(namespace) = &source.metadata.namespace {
        check.text(path.field("namespace"), namespace, names::dns_label);
    }
    pod::labels(&path.field("labels"), source.metadata.labels.as_ref(), &mut check);
    pod::annotations(&path.field("annotations"), source.metadata.annotations.as_ref(), &mut check);
}

/// Notes about a source that older servers reject.
pub(super) fn notes(path: &Path, spec: &FakeLogSourceSpec, notes: &mut Vec<Problem>) {
    if let Some(template) = &spec.pod_template {
        versions::notes(&path.field("podTemplate"), template, notes);
    }
}

/// The fields of a source about pods.
pub(super) fn spec(path: &Path, spec: &FakeLogSourceSpec, problems: &mut Vec<Problem>) {
    let mut check = Check { problems };
    if let Some(source_volume) = &spec.volume {
        volume::source(&path.field("volume"), source_volume, &mut check);
    }
    if let Some(template) = &spec.pod_template {
        pod_template(&path.field("podTemplate"), template, &mut check);
    }
}

fn pod_template(path: &Path, template: &PodTemplate, check: &mut Check<'_>) {
    pod::template(path, template, check);
    scheduling::template(path, template, check);
    volume::template(path, template, check);
    container::template(path, template, check);
}
