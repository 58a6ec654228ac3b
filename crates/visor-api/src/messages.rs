//! Messages of the rules that an API server checks as well: one text for both, see
//! [`definition`](crate::definition).

pub(crate) const NAME_TOO_LONG: &str =
    "the name must have at most 52 characters, because the names of its pods contain it";
pub(crate) const NAME_INVALID: &str = "the name must consist of lower-case letters, digits and `-`, start \
     with a letter, and end with a letter or a digit";
pub(crate) const JOB_WITHOUT_END: &str =
    "a Job must end; set `stopAfter`, or choose another workload";
pub(crate) const PODS_WITH_END: &str = "pods of this workload are restarted when they end; \
     choose Job, or remove `stopAfter`";
pub(crate) const EMPTY_STOP_AFTER: &str = "set `lines` or `duration`, or remove `stopAfter`";
pub(crate) const PATH_WITH_PARENT: &str = "must not contain `..`";
pub(crate) const NEVER_ROTATES: &str = "set `maxSize` or `maxAge`, or remove `rotation`";
pub(crate) const ALL_WEIGHTS_ZERO: &str = "at least one weight must be more than 0";
pub(crate) const FORMAT_MISSING: &str =
    "is required if `format` is Custom; set it, for example to `%h %t \"%r\" %>s`";
pub(crate) const ERROR_FORMAT_MISSING: &str =
    "is required if `format` is Custom; set it, for example to `[%t] [%l] %M`";
pub(crate) const NGINX_FORMAT_MISSING: &str = "is required if `format` is NginxCustom; set it, for \
     example to `$remote_addr [$time_local] \"$request\" $status`";
pub(crate) const NGINX_FORMAT_UNUSED: &str =
    "has no effect here; set `format: NginxCustom`, or remove it";
pub(crate) const FORMAT_UNUSED: &str = "has no effect here; set `format: Custom`, or remove it";
pub(crate) const CONTAINER_RESERVED: &str =
    "is reserved for a container of the operator; choose another name";
pub(crate) const VOLUME_RESERVED: &str =
    "is reserved for a volume of the operator; choose another name";

/// Exactly one of these fields must be set.
pub(crate) fn exactly_one<T: AsRef<str>>(fields: &[T]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| format!("`{}`", field.as_ref())).collect();
    format!("exactly one of {} must be set", fields.join(", "))
}
