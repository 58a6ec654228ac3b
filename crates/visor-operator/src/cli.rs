//! The command line: what can be asked for, and what it is called. Each flag of `run` can be set by
//! an environment variable as well, as a Deployment likes to.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
};

use visor_http::ListenAddress;

use crate::policy::{Privilege, allowable};

/// `--generator-user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GeneratorUser(pub(crate) Option<i64>);

impl GeneratorUser {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "unset" {
            return Ok(Self(None));
        }
        // 0 is root, and the kernel has no more users than that.
        let user = text.parse().ok().filter(|user| (1..=i64::from(i32::MAX)).contains(user));
        user.map(|user| Self(Some(user)))
            .ok_or_else(|| "write the number of a user other than root, or `unset`".to_owned())
    }
}

/// Turns FakeLogSources into pods that write logs.
#[derive(Debug, Parser)]
#[command(name = "visor-operator", version, about, long_about = None, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Operates the FakeLogSources of a cluster, or of some namespaces.
    Run(Box<Run>),
    /// Prints the custom resource definition of FakeLogSource.
    #[command(after_help = "Example:\n  visor-operator crd | kubectl apply -f -")]
    Crd,
    /// Asks a URL, and says by its exit code whether the answer was good.
    #[command(
        after_help = "Example:\n  visor-operator check http://visor.visor-system.svc:8080/readyz"
    )]
    Check {
        /// What to ask, such as `http://127.0.0.1:8080/readyz`.
        url: String,
    },
}

#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Run {
    /// The image of the pods that write logs.
    #[arg(long, env = "VISOR_OPERATOR_IMAGE", value_name = "IMAGE")]
    pub(crate) image: String,

    /// When nodes pull that image.
    #[arg(
        long,
        env = "VISOR_OPERATOR_IMAGE_PULL_POLICY",
        value_enum,
        default_value_t,
        value_name = "POLICY"
    )]
    pub(crate) image_pull_policy: PullPolicy,

    /// A namespace to operate, and no others but those that are named as well: may be given several
    /// times, or as a list with commas. [default: all]
    #[arg(long = "namespace", env = "VISOR_OPERATOR_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) namespaces: Vec<String>,

    /// The user that generators run as, their group, and the group of their volumes; `unset` where the
    /// cluster chooses these.
    #[arg(
        long,
        env = "VISOR_OPERATOR_GENERATOR_USER",
        default_value = "65532",
        value_name = "UID",
        value_parser = GeneratorUser::parse
    )]
    pub(crate) generator_user: GeneratorUser,

    /// Make a PodMonitor for each source, where the API server knows them.
    #[arg(long, env = "VISOR_OPERATOR_POD_MONITORS")]
    pub(crate) pod_monitors: bool,

    /// How often pods are asked how much they wrote, and a source's status is written for it.
    #[arg(long, env = "VISOR_OPERATOR_STATUS_INTERVAL", value_parser = interval, default_value = "15s", value_name = "DURATION")]
    pub(crate) status_interval: Duration,

    /// How many sources are worked on at once (in each namespace, where namespaces are named).
    #[arg(long, env = "VISOR_OPERATOR_CONCURRENCY", default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,

    /// What sources may have that is forbidden otherwise, for it would lift their authors above those
    /// of pods in a namespace of the baseline Pod Security Standard: may be given several times, or as
    /// a list with commas.
    #[arg(
        long = "allow",
        env = "VISOR_OPERATOR_ALLOW",
        value_parser = PossibleValuesParser::new(allowable()).try_map(|name| Privilege::from_str(&name, false)),
        value_delimiter = ',',
        value_name = "PRIVILEGE"
    )]
    pub(crate) allowed: Vec<Privilege>,

    /// What sources may not have, so that their authors don't get by a source what they may not have
    /// otherwise. May be given several times, or as a list with commas.
    #[arg(
        long = "forbid",
        env = "VISOR_OPERATOR_FORBID",
        value_enum,
        value_delimiter = ',',
        value_name = "PRIVILEGE"
    )]
    pub(crate) forbidden: Vec<Privilege>,

    /// Where to serve /metrics, /livez and /readyz.
    #[arg(long, env = "VISOR_OPERATOR_LISTEN", default_value = ":8080", value_name = "ADDRESS")]
    pub(crate) listen: ListenAddress,

    /// Act without asking whether another operator does: for a single one.
    #[arg(long, env = "VISOR_OPERATOR_NO_LEADER_ELECTION")]
    pub(crate) no_leader_election: bool,

    /// The name of the Lease by which operators agree on which one acts.
    #[arg(
        long,
        env = "VISOR_OPERATOR_LEASE_NAME",
        default_value = "visor-operator",
        value_name = "NAME"
    )]
    pub(crate) lease_name: String,

    /// The namespace of the Lease. [default: the pod's own (POD_NAMESPACE), else `default`]
    #[arg(long, env = "VISOR_OPERATOR_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,

    /// How long the Lease holds without being renewed: the longest time without an acting operator.
    #[arg(long, env = "VISOR_OPERATOR_LEASE_DURATION", value_parser = lease_duration, default_value = "15s", value_name = "DURATION")]
    pub(crate) lease_duration: Duration,

    /// Who this operator is. [default: the pod's name (POD_NAME), else a random one]
    #[arg(long, env = "VISOR_OPERATOR_IDENTITY", value_name = "NAME")]
    pub(crate) identity: Option<String>,

    /// Put generators into pods of others that ask for it, by a webhook. For a whole cluster only.
    #[arg(long, env = "VISOR_OPERATOR_INJECT", conflicts_with = "namespaces")]
    pub(crate) inject: bool,

    /// Refuse sources that can't run as they are applied, by a webhook. For a whole cluster only.
    #[arg(long, env = "VISOR_OPERATOR_VALIDATE", conflicts_with = "namespaces")]
    pub(crate) validate: bool,

    /// How a generator is put into a pod: as a native sidecar, as one more container, or as the
    /// server allows.
    #[arg(
        long,
        env = "VISOR_OPERATOR_SIDECAR_FORM",
        value_enum,
        default_value_t,
        value_name = "FORM"
    )]
    pub(crate) sidecar_form: SidecarForm,

    /// Where the webhook listens.
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_LISTEN",
        default_value = ":9443",
        value_name = "ADDRESS"
    )]
    pub(crate) webhook_listen: ListenAddress,

    /// The Service by which the API server calls the webhook: the certificate is made for it.
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_SERVICE",
        default_value = "visor-webhook",
        value_name = "NAME"
    )]
    pub(crate) webhook_service: String,

    /// The configuration of webhooks, of either kind, that is told which authority to trust.
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_CONFIGURATION",
        default_value = "visor-webhook",
        value_name = "NAME"
    )]
    pub(crate) webhook_configuration: String,

    /// The Secret in the operator's namespace where the webhook's certificates are kept.
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_SECRET",
        default_value = "visor-webhook",
        value_name = "NAME"
    )]
    pub(crate) webhook_secret: String,

    /// A directory with `tls.crt` and `tls.key`, such as cert-manager keeps. [default: certificates of
    /// the operator's own]
    #[arg(long, env = "VISOR_OPERATOR_WEBHOOK_CERTIFICATE_DIRECTORY", value_name = "DIR")]
    pub(crate) webhook_certificate_directory: Option<PathBuf>,

    /// How long a certificate of the operator's own holds. It is renewed after two thirds of that.
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_CERTIFICATE_VALIDITY",
        value_parser = validity,
        default_value = "2160h",
        value_name = "DURATION"
    )]
    pub(crate) webhook_certificate_validity: Duration,

    /// How long the authority holds that signs them.
    #[arg(
        long,
        env = "VISOR_OPERATOR_WEBHOOK_AUTHORITY_VALIDITY",
        value_parser = validity,
        default_value = "8760h",
        value_name = "DURATION"
    )]
    pub(crate) webhook_authority_validity: Duration,

    /// How logs are written to standard error. VISOR_LOG sets their level, such as `debug` or
    /// `warn`.
    #[arg(
        long,
        env = "VISOR_OPERATOR_LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
}

/// When a node pulls an image, by Kubernetes' own names.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    /// Each time a pod starts.
    Always,
    /// When it hasn't got it.
    #[default]
    IfNotPresent,
    /// Never.
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

/// How a generator is put into somebody else's pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum SidecarForm {
    /// Native where the server has it (Kubernetes 1.29 and later), else plain.
    #[default]
    Auto,
    /// An init container that goes on running.
    Native,
    /// One more container.
    Plain,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

fn interval(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_hours(1))
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    let duration = between(text, Duration::from_secs(3), Duration::from_hours(1))?;
    // A Lease counts whole seconds.
    if duration.subsec_nanos() == 0 { Ok(duration) } else { Err("write whole seconds".to_owned()) }
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
        Err(format!("write a time from {}s to {}s", least.as_secs(), most.as_secs()))
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
    fn times_out_of_bounds_are_refused() {
        assert_eq!(interval("30s"), Ok(Duration::from_secs(30)));
        assert!(interval("10ms").is_err());
        assert!(interval("soon").is_err());
        assert_eq!(lease_duration("15s"), Ok(Duration::from_secs(15)));
        assert!(lease_duration("3500ms").is_err());
        assert!(lease_duration("2s").is_err());
    }
}
