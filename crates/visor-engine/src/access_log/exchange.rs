//! How a resource is asked for and how that ends: method, status, and what becomes of the body.

use std::sync::Arc;

use visor_api::resolved::Choices;

use super::escaping::Escaping;
use crate::{
    choice::{NothingToDraw, Table},
    server::traffic,
    text::Text,
};

/// How a resource is asked for, and how that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) method: Text,
    pub(super) status: Text,
    pub(super) status_code: u16,
    pub(super) has_request_body: bool,
    pub(super) response: Response,
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
    fn new(method: &str, status: u16, escaping: &Escaping) -> Self {
        Self {
            method: escaping.text(method),
            status: escaping.text(status.to_string()),
            status_code: status,
            has_request_body: matches!(method, "POST" | "PUT" | "PATCH"),
            response: Response::to(method, status),
        }
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

/// How the resources of each class are asked for and answered: the document's methods and statuses
/// where it has any, else the default server's. A method that a class doesn't know is answered as a
/// GET is.
pub(super) fn exchanges(
    methods: Option<&Choices<String>>,
    statuses: Option<&Choices<u16>>,
    escaping: &Escaping,
) -> Result<Arc<[Table<Exchange>]>, NothingToDraw> {
    let statuses: Option<Vec<(u16, u64)>> = statuses.map(|statuses| {
        statuses.iter().map(|(status, weight)| (*status, u64::from(weight))).collect()
    });
    let tables = traffic::BEHAVIOURS.iter().map(|behaviour| {
        let known = behaviour.methods;
        let chosen: Vec<(&str, u64)> = match methods {
            None => known.iter().map(|(name, weight, _)| (*name, u64::from(*weight))).collect(),
            Some(methods) => {
                methods.iter().map(|(name, weight)| (name.as_str(), u64::from(weight))).collect()
            }
        };
        let of_method = chosen.iter().flat_map(|(method, method_weight)| {
            let own = known.iter().find(|(name, ..)| name == method).or(known.first());
            let own = own.map_or(&[][..], |(.., statuses)| statuses);
            let statuses = statuses.clone().unwrap_or_else(|| {
                own.iter().map(|(status, weight)| (*status, u64::from(*weight))).collect()
            });
            shares(&statuses, *method_weight)
                .into_iter()
                .map(|(status, share)| (Exchange::new(method, status, escaping), share))
                .collect::<Vec<_>>()
        });
        Table::new(of_method)
    });
    tables.collect()
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
