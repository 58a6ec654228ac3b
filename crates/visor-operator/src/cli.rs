//! The command line. Each flag of `run` can also be set by an environment variable, which is
//! convenient in a Deployment.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
};

use visor_http::ListenAddress;
use visor_runtime::logging::LoggingFormat;

use crate::policy::{Privilege, allowable};

/// `--generator-user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GeneratorUser(pub(crate) Option<i64>);

impl GeneratorUser {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "unset" {
            return Ok(Self(None));
        }
        // 0 is root; the kernel has no larger user ids.
        let user = text.parse().ok().filter(|user| (1..=i64::from(i32::MAX)).contains(user));
        user.map(|user| Self(Some(user)))
            .ok_or_else(|| "expected a user id other than 0, or `unset`".to_owned())
    }
}

/// Runs FakeLogSources as pods that write logs.
#[derive(Debug, Parser)]
#[command(name = "visor-operator", version, about, long_about = None, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the operator for a cluster, or for some namespaces
    Run(Box<Run>),
    /// Print the custom resource definition of FakeLogSource
    #[command(after_help = "Example:\n  visor-operator crd | kubectl apply -f -")]
    Crd,
    /// Print the reference of flags and metrics as Markdown
    #[command(hide = true)]
    Reference,
    /// Request a URL and report by the exit code whether the response was good
    #[command(
        after_help = "Example:\n  visor-operator check http://visor.visor-system.svc:8080/readyz"
    )]
    Check {
        /// The URL, such as `http://127.0.0.1:8080/readyz`
        url: String,
    },
}

#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Run {
    /// The image of the generator
    #[arg(long, env = "VISOR_OPERATOR_IMAGE", value_name = "IMAGE")]
    pub(crate) image: String,

    /// When nodes pull that image
    #[arg(
        long,
        env = "VISOR_OPERATOR_IMAGE_PULL_POLICY",
        value_enum,
        default_value_t,
        value_name = "POLICY"
    )]
    pub(crate) image_pull_policy: PullPolicy,

    /// Watch only this namespace. Can be given several times, or as a list with commas [default:
    /// all namespaces]
    #[arg(long = "namespace", env = "VISOR_OPERATOR_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespaces: Vec<String>,

    /// The user that generators run as, their group, and the fsGroup of their volumes; `unset`
    /// leaves these to the cluster
    #[arg(
        long,
        env = "VISOR_OPERATOR_GENERATOR_USER",
        default_value = "65532",
        value_name = "UID",
        value_parser = GeneratorUser::parse
    )]
    pub(crate) generator_user: GeneratorUser,

    /// Create a PodMonitor for each source, if the API server serves them
    #[arg(long, env = "VISOR_OPERATOR_POD_MONITORS")]
    pub(crate) pod_monitors: bool,

    /// How often pods are scraped and the counts in a source's status are updated
    #[arg(long, env = "VISOR_OPERATOR_STATUS_INTERVAL", value_parser = interval, default_value = "15s", value_name = "DURATION")]
    pub(crate) status_interval: Duration,

    /// How many sources are reconciled concurrently (in each namespace, if namespaces are given)
    #[arg(long, env = "VISOR_OPERATOR_CONCURRENCY", default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,

    /// Allow sources a privilege that they don't have by default, because it exceeds the baseline
    /// Pod Security Standard. Can be given several times, or as a list with commas
    #[arg(
        long = "allow",
        env = "VISOR_OPERATOR_ALLOW",
        value_parser = PossibleValuesParser::new(allowable()).try_map(|name| Privilege::from_str(&name, false)),
        value_delimiter = ',',
        value_name = "PRIVILEGE"
    )]
    pub(crate) allowed: Vec<Privilege>,

    /// Forbid sources a privilege that they have by default. Can be given several times, or as a
    /// list with commas
    #[arg(
        long = "forbid",
        env = "VISOR_OPERATOR_FORBID",
        value_enum,
        value_delimiter = ',',
        value_name = "PRIVILEGE"
    )]
    pub(crate) forbidden: Vec<Privilege>,

    /// The address that serves /metrics, /livez and /readyz
    #[arg(long, env = "VISOR_OPERATOR_LISTEN", default_value = ":8080", value_name = "ADDRESS")]
    pub(crate) listen: ListenAddress,

    /// Run without leader election: for a single operator
    #[arg(long, env = "VISOR_OPERATOR_NO_LEADER_ELECTION")]
    pub(crate) no_leader_election: bool,

    /// The name of the Lease for leader election
    #[arg(
        long,
        env = "VISOR_OPERATOR_LEASE_NAME",
        default_value = "visor-operator",
        value_name = "NAME"
    )]
    pub(crate) lease_name: String,

    /// The namespace of the Lease [default: the pod's namespace (POD_NAMESPACE), else `default`]
    #[arg(long, env = "VISOR_OPERATOR_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,

    /// How long the Lease is valid without being renewed: the longest time without a leader
    #[arg(long, env = "VISOR_OPERATOR_LEASE_DURATION", value_parser = lease_duration, default_value = "15s", value_name = "DURATION")]
    pub(crate) lease_duration: Duration,

    /// The identity in leader election [default: the pod's name (POD_NAME), else a random one]
    #[arg(long, env = "VISOR_OPERATOR_IDENTITY", value_name = "NAME")]
    pub(crate) identity: Option<String>,

    /// Inject generators into pods that request it, by a mutating webhook. Only without --namespace
    #[arg(long, env = "VISOR_OPERATOR_INJECT", conflicts_with = "namespaces")]
    pub(crate) inject: bool,

    /// Reject invalid sources when they are applied, by a validating webhook. Only without
    /// --namespace
    #[arg(long, env = "VISOR_OPERATOR_VALIDATE", conflicts_with = "namespaces")]
    pub(crate) validate: bool,

    /// How a generator is injected: as a native sidecar, as a plain container, or as the API server
    /// supports
    #[arg(
        long,
        env = "VISOR_OPERATOR_SIDECAR_FORM",
        value_enum,
        default_value_t,
        value_name = "FORM"
    )]
    pub(crate) sidecar_form: SidecarForm,

    /// The address of the webhook
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_LISTEN",
        default_value = ":9443",
        value_name = "ADDRESS"
    )]
    pub(crate) webhook_listen: ListenAddress,

    /// The Service by which the API server calls the webhook: the certificate is issued for its
    /// names
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_SERVICE",
        default_value = "visor-webhook",
        value_name = "NAME"
    )]
    pub(crate) webhook_service: String,

    /// The name of the webhook configurations whose caBundle is managed
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_CONFIGURATION",
        default_value = "visor-webhook",
        value_name = "NAME"
    )]
    pub(crate) webhook_configuration: String,

    /// The Secret in the operator's namespace that holds the webhook's certificates
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_SECRET",
        default_value = "visor-webhook",
        value_name = "NAME"
    )]
    pub(crate) webhook_secret: String,

    /// A directory with `tls.crt` and `tls.key`, such as cert-manager provides [default:
    /// certificates of the operator's own]
    #[arg(long, env = "VISOR_OPERATOR_WEBHOOK_CERTIFICATE_DIRECTORY", value_name = "DIR")]
    pub(crate) webhook_certificate_directory: Option<PathBuf>,

    /// The validity of the operator's own certificates. They are renewed after two thirds of it
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_CERTIFICATE_VALIDITY",
        value_parser = validity,
        default_value = "2160h",
        value_name = "DURATION"
    )]
    pub(crate) webhook_certificate_validity: Duration,

    /// The validity of the certificate authority that issues them
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_AUTHORITY_VALIDITY",
        value_parser = validity,
        default_value = "8760h",
        value_name = "DURATION"
    )]
    pub(crate) webhook_authority_validity: Duration,

    /// The format of the operator's logs on standard error. VISOR_LOG sets their level, such as
    /// `debug` or `warn`
    #[arg(
        long,
        env = "VISOR_OPERATOR_LOGGING_FORMAT",
        value_enum,
        default_value_t = LoggingFormat::Json,
        value_name = "FORMAT"
    )]
    pub(crate) logging_format: LoggingFormat,
}

/// The image pull policies of Kubernetes.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    /// Each time a pod starts
    Always,
    /// If the node doesn't have it
    #[default]
    IfNotPresent,
    /// Never
    Never,
}

impl PullPolicy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// How a generator is injected into a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum SidecarForm {
    /// Native if the API server supports it (Kubernetes 1.29 and later), else plain
    #[default]
    Auto,
    /// An init container with `restartPolicy: Always`
    Native,
    /// A container
    Plain,
}

fn interval(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_hours(1))
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    let duration = between(text, Duration::from_secs(3), Duration::from_hours(1))?;
    // A Lease has whole seconds.
    if duration.subsec_nanos() == 0 {
        Ok(duration)
    } else {
        Err("expected whole seconds".to_owned())
    }
}

fn validity(text: &str) -> Result<Duration, String> {
    const YEAR: u64 = 365 * 24;
    between(text, Duration::from_secs(30), Duration::from_hours(10 * YEAR))
}

fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration: visor_api::quantity::Duration =
        text.parse().map_err(|error: visor_api::quantity::QuantityError| error.to_string())?;
    let duration = duration.to_std();
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("expected a duration from {}s to {}s", least.as_secs(), most.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_out_of_range_are_rejected() {
        assert_eq!(interval("30s"), Ok(Duration::from_secs(30)));
        assert!(interval("10ms").is_err());
        assert!(interval("soon").is_err());
        assert_eq!(lease_duration("15s"), Ok(Duration::from_secs(15)));
        assert!(lease_duration("3500ms").is_err());
        assert!(lease_duration("2s").is_err());
    }
}
