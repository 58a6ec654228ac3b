//! What is said by a rule that an API server checks, too: one text for both, see
//! [`definition`](crate::definition).

pub(crate) const NAME_TOO_LONG: &str =
    "the name must have at most 52 characters; the names of its pods are made of it";
pub(crate) const NAME_NO_LABEL: &str = "the name must begin with a lower-case letter, end with \
     one or with a digit, and have nothing but these and `-` between";
pub(crate) const ENDLESS_JOB: &str =
    "a Job has to end; set `stopAfter`, or choose another workload";
pub(crate) const ENDLESS_PODS: &str = "pods of this workload are started again when they end; \
     choose Job, or remove `stopAfter`";
pub(crate) const NO_LIMIT: &str = "nothing is set here; set `lines` or `duration`, or remove it";
pub(crate) const PATH_CLIMBS: &str = "must not climb up; write the path without `..`";
pub(crate) const NEVER_ROTATES: &str =
    "nothing says when to rotate; set `maxSize` or `maxAge`, or remove it";
pub(crate) const NOTHING_TO_DRAW: &str = "every weight is 0; at least one must be above";
pub(crate) const FORMAT_MISSING: &str =
    "is required where `format` is Custom; set it, such as `%h %t \"%r\" %>s`";
pub(crate) const FORMAT_UNUSED: &str = "has no effect here; set `format: Custom`, or remove it";
pub(crate) const CONTAINER_TAKEN: &str =
    "is what a container of every pod is called already; choose another";
pub(crate) const VOLUME_TAKEN: &str =
    "is what a volume of every pod is called already; choose another";

/// That exactly one of these fields is to be set.
pub(crate) fn exactly_one<T: AsRef<str>>(fields: &[T]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| format!("`{}`", field.as_ref())).collect();
    format!("exactly one of {} must be set", fields.join(", "))
}
