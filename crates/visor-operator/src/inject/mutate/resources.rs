//! What the generator asks for and may use in somebody else's pod, so that the pod stays what it was:
//! to a node of the same quality of service class, by which it chooses whom to end when memory is
//! short; to its namespace within the bounds of a `LimitRange`. Pure.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{
    api::core::v1::{LimitRangeItem, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use serde_json::{Map, Value};

use super::{containers, items, text};
use amount::amount;

mod amount;

/// The resources that make up a class. Of others a generator has none.
const NAMES: [&str; 2] = ["cpu", "memory"];

/// What it has unless somebody says something else: enough for some hundred thousand lines a second.
/// A quota of the namespace counts it, so it is little.
const REQUESTS: [&str; 2] = ["10m", "32Mi"];
const LIMITS: [&str; 2] = ["100m", "64Mi"];

type Quantities = Option<BTreeMap<String, Quantity>>;

/// `status.qosClass` of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl fmt::Display for QosClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl QosClass {
    /// As a kubelet sorts it.
    pub(super) fn of(spec: &Map<String, Value>) -> Self {
        let of_pod = requirements(spec.get("resources"));
        let all: Vec<_> = if says_nothing(&of_pod) {
            containers(spec).map(|container| requirements(container.get("resources"))).collect()
        } else {
            vec![of_pod]
        };
        if all.iter().all(says_nothing) {
            Self::BestEffort
        } else if all.iter().all(is_guaranteed) {
            Self::Guaranteed
        } else {
            Self::Burstable
        }
    }
}

/// The generator's resources: what somebody `said`, filled up where that keeps the pod's class, or
/// else little, moved into the bounds of the namespace.
pub(super) fn generators(
    spec: &Map<String, Value>,
    said: Option<&ResourceRequirements>,
    bounds: &[LimitRangeItem],
) -> ResourceRequirements {
    // A pod that has resources as a whole shares them out itself.
    let has_its_own = !says_nothing(&requirements(spec.get("resources")));
    match (QosClass::of(spec), said) {
        (QosClass::Guaranteed, said) if !has_its_own => guaranteed(said, bounds),
        (_, Some(said)) => said.clone(),
        (QosClass::Burstable, None) if !has_its_own => modest(bounds),
        (_, None) => ResourceRequirements::default(),
    }
}

fn guaranteed(
    said: Option<&ResourceRequirements>,
    bounds: &[LimitRangeItem],
) -> ResourceRequirements {
    let mut filled = said.cloned().unwrap_or_default();
    for (name, default) in NAMES.into_iter().zip(LIMITS) {
        let limits = filled.limits.get_or_insert_default();
        let requests = filled.requests.get_or_insert_default();
        let limit = limits.get(name).or(requests.get(name)).cloned();
        let limit = limit.unwrap_or_else(|| moved(name, default, bounds));
        requests.entry(name.to_owned()).or_insert_with(|| limit.clone());
        limits.entry(name.to_owned()).or_insert(limit);
    }
    filled
}

fn modest(bounds: &[LimitRangeItem]) -> ResourceRequirements {
    let mut modest = ResourceRequirements::default();
    for ((name, request), limit) in NAMES.into_iter().zip(REQUESTS).zip(LIMITS) {
        let limit = moved(name, limit, bounds);
        let mut request = moved(name, request, bounds);
        let ratio = of_containers(bounds)
            .filter_map(|bounds| amount(bounds.max_limit_request_ratio.as_ref()?.get(name)?))
            .fold(f64::INFINITY, f64::min);
        if amount(&limit) > amount(&request).map(|request| request * ratio) {
            request = limit.clone();
        }
        modest.requests.get_or_insert_default().insert(name.to_owned(), request);
        modest.limits.get_or_insert_default().insert(name.to_owned(), limit);
    }
    modest
}

/// A quantity, or the bound that it is beyond.
fn moved(name: &str, quantity: &str, bounds: &[LimitRangeItem]) -> Quantity {
    let mut moved = Quantity(quantity.to_owned());
    for bounds in of_containers(bounds) {
        if let Some(least) = bounds.min.as_ref().and_then(|least| least.get(name))
            && amount(least) > amount(&moved)
        {
            moved = least.clone();
        }
        if let Some(most) = bounds.max.as_ref().and_then(|most| most.get(name))
            && amount(most) < amount(&moved)
        {
            moved = most.clone();
        }
    }
    moved
}

fn of_containers(bounds: &[LimitRangeItem]) -> impl Iterator<Item = &LimitRangeItem> {
    bounds.iter().filter(|bounds| bounds.type_ == "Container")
}

/// Whether the containers of a pod together are within the bounds that its namespace has for pods.
///
/// # Errors
///
/// Which bound the server would refuse the pod for.
pub(super) fn fits(spec: &Map<String, Value>, bounds: &[LimitRangeItem]) -> Result<(), String> {
    let running = items(spec, "containers").chain(
        items(spec, "initContainers")
            .filter(|container| text(container, "restartPolicy") == Some("Always")),
    );
    let running: Vec<_> =
        running.map(|container| requirements(container.get("resources"))).collect();
    for most in bounds.iter().filter(|bounds| bounds.type_ == "Pod") {
        for (name, most) in most.max.iter().flatten() {
            let sum = |of: fn(&ResourceRequirements) -> &Quantities| -> f64 {
                running.iter().map(|each| has(of(each), name)).sum()
            };
            let sum = sum(|each| &each.limits).max(sum(|each| &each.requests));
            if amount(most).is_some_and(|most| sum > most) {
                return Err(format!(
                    "with it the pod would have more {name} than a LimitRange of its namespace \
                     allows a pod ({})",
                    most.0
                ));
            }
        }
    }
    Ok(())
}

fn requirements(resources: Option<&Value>) -> ResourceRequirements {
    // What can't be read, the server has refused before it asks.
    resources
        .and_then(|resources| serde_json::from_value(resources.clone()).ok())
        .unwrap_or_default()
}

fn says_nothing(resources: &ResourceRequirements) -> bool {
    NAMES.iter().all(|name| has(&resources.limits, name) + has(&resources.requests, name) == 0.0)
}

fn is_guaranteed(resources: &ResourceRequirements) -> bool {
    NAMES.iter().all(|name| {
        let limit = has(&resources.limits, name);
        let requests = resources.requests.as_ref();
        let request = requests.and_then(|requests| amount(requests.get(*name)?));
        limit > 0.0 && request.is_none_or(|request| request.total_cmp(&limit).is_eq())
    })
}

/// How much there is of a resource; none where nothing is said.
fn has(quantities: &Quantities, name: &str) -> f64 {
    quantities.as_ref().and_then(|quantities| amount(quantities.get(name)?)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
