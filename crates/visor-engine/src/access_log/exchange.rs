//! How a resource is asked for and how that ends: method, status, and what becomes of the body.

use visor_api::resolved::Choices;

use crate::{
    choice::{NothingToDraw, Table},
    server::traffic,
};

/// All exchanges of a content, and how often the resources of each class have which.
#[derive(Debug)]
pub(super) struct Exchanges {
    all: Box<[Exchange]>,
    of_class: Box<[Table<usize>]>,
}

/// How a resource is asked for, and how that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) method: String,
    pub(super) status: u16,
    pub(super) has_request_body: bool,
    pub(super) response: Response,
    /// The bytes of the response's head.
    pub(super) head_bytes: u64,
}

/// What a response's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    /// So many bytes whatever was asked for: none, or httpd's own page about the status.
    Bytes(u64),
    /// The resource.
    Whole,
    /// A part of it.
    Part,
}

impl Exchange {
    fn new(method: &str, status: u16) -> Self {
        Self {
            method: method.to_owned(),
            status,
            has_request_body: matches!(method, "POST" | "PUT" | "PATCH"),
            response: Response::to(method, status),
            head_bytes: head_bytes(status),
        }
    }
}

/// The bytes of a response's head: a not-modified one has fewer headers.
const fn head_bytes(status: u16) -> u64 {
    match status {
        304 => 181,
        301..=308 => 276,
        400..=599 => 213,
        _ => 284,
    }
}

impl Response {
    /// None where HTTP has none, the resource or a part of it where it was served, else httpd's own
    /// page about the status.
    fn to(method: &str, status: u16) -> Self {
        match status {
            _ if method == "HEAD" => Self::Bytes(0),
            100..=199 | 204 | 205 | 304 => Self::Bytes(0),
            206 => Self::Part,
            200..=299 => Self::Whole,
            _ => Self::Bytes(traffic::error_body(status)),
        }
    }
}

impl Exchanges {
    /// The document's methods and statuses where it has any, else the default server's. A method that
    /// a class doesn't know is answered as a GET is.
    pub(super) fn new(
        methods: Option<&Choices<String>>,
        statuses: Option<&Choices<u16>>,
    ) -> Result<Self, NothingToDraw> {
        let mut all = Vec::new();
        let statuses: Option<Vec<(u16, u64)>> = statuses.map(|statuses| {
            statuses.iter().map(|(status, weight)| (*status, u64::from(weight))).collect()
        });
        let of_class = traffic::BEHAVIOURS.iter().map(|behaviour| {
            let first = all.len();
            let mut shares_of_all = Vec::new();
            for (method, method_weight) in weighted_methods(methods, behaviour) {
                let statuses = statuses.clone().unwrap_or_else(|| own_statuses(behaviour, method));
                for (status, share) in shares(&statuses, method_weight) {
                    all.push(Exchange::new(method, status));
                    shares_of_all.push(share);
                }
            }
            Table::new((first..).zip(shares_of_all))
        });
        let of_class = of_class.collect::<Result<_, _>>()?;
        Ok(Self { all: all.into(), of_class })
    }

    /// The number of the exchange that a resource of this class has by this chance.
    #[inline]
    pub(super) fn index(&self, class: usize, chance: u32) -> usize {
        let table = &self.of_class[class];
        table.values()[table.index(chance)]
    }

    /// All of them, by number.
    #[inline]
    pub(super) fn all(&self) -> &[Exchange] {
        &self.all
    }
}

fn weighted_methods<'a>(
    methods: Option<&'a Choices<String>>,
    behaviour: &'static traffic::Behaviour,
) -> Vec<(&'a str, u64)> {
    let known = behaviour.methods.iter().map(|(name, weight, _)| (*name, u64::from(*weight)));
    match methods {
        None => known.collect(),
        Some(methods) => {
            methods.iter().map(|(name, weight)| (name.as_str(), u64::from(weight))).collect()
        }
    }
}

/// How the default server answers a method.
fn own_statuses(behaviour: &traffic::Behaviour, method: &str) -> Vec<(u16, u64)> {
    let known = behaviour.methods;
    let own = known.iter().find(|(name, ..)| *name == method).or(known.first());
    let statuses = own.map_or(&[][..], |(.., statuses)| statuses);
    statuses.iter().map(|(status, weight)| (*status, u64::from(*weight))).collect()
}

/// The shares of a method's weight that its statuses have. In units of 2^-32, so that cutting the
/// fractions off doesn't show.
fn shares(statuses: &[(u16, u64)], method_weight: u64) -> Vec<(u16, u64)> {
    let sum: u64 = statuses.iter().map(|(_, weight)| weight).sum();
    let share = |weight: u64| {
        let share = (u128::from(method_weight) * u128::from(weight)) << 32;
        u64::try_from(share / u128::from(sum.max(1))).unwrap_or(u64::MAX)
    };
    statuses.iter().map(|(status, weight)| (*status, share(*weight))).collect()
}
