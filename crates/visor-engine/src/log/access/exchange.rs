//! An exchange: method, status, and the response body.

use visor_logs::{Release, resolved::Choices};

use crate::{
    choice::{InvalidWeights, Table},
    server::traffic,
};

/// All exchanges of a model, with weights for each class of targets.
#[derive(Debug)]
pub(super) struct Exchanges {
    all: Box<[Exchange]>,
    of_class: Box<[Table<usize>]>,
}

/// A method and its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) method: String,
    pub(super) status: u16,
    pub(super) has_request_body: bool,
    /// Whether httpd rejects the request before it maps it to a file.
    pub(super) is_rejected: bool,
    pub(super) response: Response,
    /// The size of the response's head.
    pub(super) head_bytes: u64,
}

/// The body of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    /// A fixed size: empty, or httpd's page for the status.
    Bytes(u64),
    /// The complete target.
    Whole,
    /// A part of it.
    Part,
}

impl Exchange {
    fn new(method: &str, status: u16, release: Release) -> Self {
        Self {
            method: method.to_owned(),
            status,
            has_request_body: matches!(method, "POST" | "PUT" | "PATCH"),
            is_rejected: matches!(status, 400 | 408 | 414 | 417),
            response: Response::to(method, status, release),
            head_bytes: head_bytes(status),
        }
    }
}

/// The size of a response's head: a 304 has fewer headers.
const fn head_bytes(status: u16) -> u64 {
    match status {
        304 => 181,
        301..=308 => 276,
        400..=599 => 213,
        _ => 284,
    }
}

impl Response {
    /// Empty if HTTP requires that, the target or a part of it for a success, else httpd's page for
    /// the status.
    fn to(method: &str, status: u16, release: Release) -> Self {
        match status {
            _ if method == "HEAD" => Self::Bytes(0),
            100..=199 | 204 | 205 | 304 => Self::Bytes(0),
            206 => Self::Part,
            200..=299 => Self::Whole,
            _ => Self::Bytes(traffic::error_body(status, release)),
        }
    }
}

impl Exchanges {
    /// The configured methods and statuses, else the default server's. A method that a class
    /// doesn't have gets the statuses of a GET.
    pub(super) fn new(
        methods: Option<&Choices<String>>,
        statuses: Option<&Choices<u16>>,
        release: Release,
    ) -> Result<Self, InvalidWeights> {
        let mut all = Vec::new();
        let statuses: Option<Vec<(u16, u64)>> = statuses.map(|statuses| {
            statuses.iter().map(|(status, weight)| (*status, u64::from(weight))).collect()
        });
        let of_class = traffic::BEHAVIORS.iter().map(|behavior| {
            let first = all.len();
            let mut shares_of_all = Vec::new();
            for (method, method_weight) in weighted_methods(methods, behavior) {
                let statuses = statuses.clone().unwrap_or_else(|| own_statuses(behavior, method));
                for (status, share) in shares(&statuses, method_weight) {
                    all.push(Exchange::new(method, status, release));
                    shares_of_all.push(share);
                }
            }
            Table::new((first..).zip(shares_of_all))
        });
        let of_class = of_class.collect::<Result<_, _>>()?;
        Ok(Self { all: all.into(), of_class })
    }

    /// The index of the exchange for a target of this class and a random number.
    #[inline]
    pub(super) fn index(&self, class: usize, chance: u32) -> usize {
        let table = &self.of_class[class];
        table.values()[table.index(chance)]
    }

    /// All exchanges, by index.
    #[inline]
    pub(super) fn all(&self) -> &[Exchange] {
        &self.all
    }
}

fn weighted_methods<'a>(
    methods: Option<&'a Choices<String>>,
    behavior: &'static traffic::Behavior,
) -> Vec<(&'a str, u64)> {
    let known = behavior.methods.iter().map(|(name, weight, _)| (*name, u64::from(*weight)));
    match methods {
        None => known.collect(),
        Some(methods) => {
            methods.iter().map(|(name, weight)| (name.as_str(), u64::from(weight))).collect()
        }
    }
}

/// The default server's statuses for a method.
fn own_statuses(behavior: &traffic::Behavior, method: &str) -> Vec<(u16, u64)> {
    let known = behavior.methods;
    let own = known.iter().find(|(name, ..)| *name == method).or(known.first());
    let statuses = own.map_or(&[][..], |(.., statuses)| statuses);
    statuses.iter().map(|(status, weight)| (*status, u64::from(*weight))).collect()
}

/// Distributes a method's weight over its statuses. In units of 2^-32, so that rounding is
/// negligible.
fn shares(statuses: &[(u16, u64)], method_weight: u64) -> Vec<(u16, u64)> {
    let sum: u64 = statuses.iter().map(|(_, weight)| weight).sum();
    let share = |weight: u64| {
        let share = (u128::from(method_weight) * u128::from(weight)) << 32;
        u64::try_from(share / u128::from(sum.max(1))).unwrap_or(u64::MAX)
    };
    statuses.iter().map(|(status, weight)| (*status, share(*weight))).collect()
}
