//! Defaults that a schema can't express because they depend on other fields: the streams of a
//! generator that has none, the interval of a stream that has none. Both the rules and
//! [`resolved`](crate::resolved) use them. Pure.

use crate::{
    quantity::Duration,
    source::{
        Exponential, Generator, HeartbeatStyle, Interval, Log, Stream, StreamKind, Uniform,
        Workload,
    },
};

impl crate::source::FakeLogSourceSpec {
    /// Whether the source ends by itself.
    pub fn is_finite(&self) -> bool {
        self.stop_after.as_ref().is_some_and(|stop| stop.lines.is_some() || stop.duration.is_some())
    }

    /// The workload of the pods: the configured one, else the default.
    pub fn resolved_workload(&self) -> Workload {
        let suitable = if self.is_finite() { Workload::Job } else { Workload::Deployment };
        self.workload.unwrap_or(suitable)
    }
}

impl Generator {
    /// The streams: the configured ones, else those of the default server.
    pub(crate) fn resolved_streams(&self) -> Vec<Stream> {
        if !self.streams.is_empty() {
            return self.streams.clone();
        }
        let streams = self.log().map_or(&[][..], Log::default_streams);
        streams.iter().map(|(name, kind)| Stream::plain(name, *kind)).collect()
    }
}

impl Stream {
    /// A stream of this kind with defaults only.
    pub fn plain(name: &str, kind: StreamKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            interval: None,
            initial_delay: None,
            surges: Vec::new(),
            messages: Vec::new(),
            heartbeat: None,
            access: None,
        }
    }

    /// The interval: the configured one, else the default of the kind. Most kinds arrive
    /// independently of each other; a heartbeat comes every one to three seconds.
    pub(crate) fn resolved_interval(&self) -> Interval {
        if let Some(interval) = &self.interval {
            return interval.clone();
        }
        let mean = match self.kind {
            StreamKind::Heartbeat => {
                return Interval::Uniform(Uniform {
                    min: Duration::from_secs(1),
                    max: Duration::from_secs(3),
                });
            }
            StreamKind::Access => Duration::from_millis(250),
            StreamKind::Error => Duration::from_secs(5),
            StreamKind::Warn => Duration::from_secs(15),
            StreamKind::Emerg | StreamKind::Alert | StreamKind::Crit => Duration::from_secs(3600),
            StreamKind::Notice => Duration::from_secs(60),
            StreamKind::Info => Duration::from_secs(2),
            _ => Duration::from_secs(1),
        };
        Interval::Exponential(Exponential { mean })
    }

    /// The style of a heartbeat in an access log.
    pub(crate) fn resolved_heartbeat(&self) -> HeartbeatStyle {
        let suitable = if self.messages.is_empty() {
            HeartbeatStyle::KubeProbe
        } else {
            HeartbeatStyle::Message
        };
        self.heartbeat.unwrap_or(suitable)
    }
}

impl Interval {
    /// The mean time between two lines in seconds; 0 for an unlimited stream.
    pub fn mean_seconds(&self) -> f64 {
        match self {
            Self::Fixed(every) => every.as_secs_f64(),
            Self::Uniform(interval) => {
                f64::midpoint(interval.min.as_secs_f64(), interval.max.as_secs_f64())
            }
            Self::Exponential(interval) => interval.mean.as_secs_f64(),
            Self::Normal(interval) => mean_of_normal_above_zero(
                interval.mean.as_secs_f64(),
                interval.standard_deviation.as_secs_f64(),
            ),
            Self::Rate(interval) => 1.0 / f64::from(interval.lines_per_second.get().get()),
            Self::Unlimited(_) => 0.0,
        }
    }

    /// The configured rate in lines per second, without surges; infinite for an unlimited stream.
    pub fn lines_per_second(&self) -> f64 {
        1.0 / self.mean_seconds()
    }
}

/// The mean of a normal distribution whose negative samples are drawn again.
fn mean_of_normal_above_zero(mean: f64, deviation: f64) -> f64 {
    if deviation <= 0.0 {
        return mean;
    }
    let cut = -mean / deviation;
    let density = libm::exp(-cut * cut / 2.0) / libm::sqrt(2.0 * std::f64::consts::PI);
    let above = libm::erfc(cut / std::f64::consts::SQRT_2) / 2.0;
    mean + deviation * density / above
}
