//! What the generator asks for and may use in somebody else's pod, so that the pod stays what it was:
//! to a node of the same quality of service class, by which it chooses whom to end when memory is
//! short; to its namespace within the bounds of a `LimitRange`. Pure.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{
    api::core::v1::{LimitRangeItem, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use serde_json::{Map, Value};

use super::{items, text};
use visor_api::amount::{ONE, amount};

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

/// What a pod asks for and may use.
pub(super) struct PodResources {
    /// As a whole, which its containers then share out.
    whole: ResourceRequirements,
    /// Those that prepare it first, in their order.
    containers: Vec<ContainerResources>,
}

struct ContainerResources {
    resources: ResourceRequirements,
    /// Not one that ends before the next begins.
    stays: bool,
}

impl PodResources {
    pub(super) fn of(spec: &Map<String, Value>) -> Self {
        let preparing = items(spec, "initContainers").map(|container| ContainerResources {
            resources: requirements(container.get("resources")),
            stays: text(container, "restartPolicy") == Some("Always"),
        });
        let working = items(spec, "containers").map(|container| ContainerResources {
            resources: requirements(container.get("resources")),
            stays: true,
        });
        Self {
            whole: requirements(spec.get("resources")),
            containers: preparing.chain(working).collect(),
        }
    }

    /// As a kubelet sorts it.
    pub(super) fn class(&self) -> QosClass {
        let all: Vec<_> = if says_nothing(&self.whole) {
            self.containers.iter().map(|container| &container.resources).collect()
        } else {
            vec![&self.whole]
        };
        if all.iter().all(|each| says_nothing(each)) {
            QosClass::BestEffort
        } else if all.iter().all(|each| is_guaranteed(each)) {
            QosClass::Guaranteed
        } else {
            QosClass::Burstable
        }
    }

    /// Resources for a generator in this pod: what somebody `said`, filled up where that keeps the
    /// pod's class, or else little, moved into the bounds of the namespace.
    pub(super) fn generators(
        &self,
        said: Option<&ResourceRequirements>,
        bounds: &[LimitRangeItem],
    ) -> ResourceRequirements {
        let has_its_own = !says_nothing(&self.whole);
        match (self.class(), said) {
            (QosClass::Guaranteed, said) if !has_its_own => guaranteed(said, bounds),
            (_, Some(said)) => said.clone(),
            (QosClass::Burstable, None) if !has_its_own => modest(bounds),
            (_, None) => ResourceRequirements::default(),
        }
    }

    /// Whether it is within the bounds that its namespace has for pods.
    ///
    /// # Errors
    ///
    /// Which bound the server would refuse the pod for.
    pub(super) fn fits(&self, bounds: &[LimitRangeItem]) -> Result<(), String> {
        for bounds in bounds.iter().filter(|bounds| bounds.type_ == "Pod") {
            for (name, most) in bounds.max.iter().flatten() {
                let sum = self.limit(name).max(self.request(name));
                if amount(most).is_some_and(|most| sum > most) {
                    return Err(format!(
                        "with it the pod would have more {name} than a LimitRange of its \
                         namespace allows a pod ({})",
                        most.0
                    ));
                }
            }
            for (name, most) in bounds.max_limit_request_ratio.iter().flatten() {
                let most_of_it = times(self.request(name), most);
                if most_of_it.is_some_and(|most_of_it| self.limit(name) > most_of_it) {
                    return Err(format!(
                        "with it the pod's limit of {name} would be more times its request than a \
                         LimitRange of its namespace allows a pod ({})",
                        most.0
                    ));
                }
            }
        }
        Ok(())
    }

    fn limit(&self, name: &str) -> i128 {
        self.at_once(name, |resources| &resources.limits)
    }

    fn request(&self, name: &str) -> i128 {
        self.at_once(name, |resources| &resources.requests)
    }

    /// The most that there is of a resource at one time.
    fn at_once(&self, name: &str, of: fn(&ResourceRequirements) -> &Quantities) -> i128 {
        if let Some(whole) = of(&self.whole).as_ref().and_then(|whole| whole.get(name)) {
            return amount(whole).unwrap_or_default();
        }
        let (mut staying, mut most) = (0_i128, 0);
        for container in &self.containers {
            let now = staying.saturating_add(has(of(&container.resources), name));
            most = now.max(most);
            if container.stays {
                staying = now;
            }
        }
        most
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
        // Those of whole pods as well: a pod that keeps its ratio doesn't lose it by a container that
        // keeps it, too.
        let least = bounds.iter().filter_map(|bounds| {
            let ratio = amount(bounds.max_limit_request_ratio.as_ref()?.get(name)?)?;
            divided(amount(&limit)?, ratio)
        });
        // No more than that takes: what is asked for is taken from others.
        if let Some(least) = least.max()
            && amount(&request).is_some_and(|request| request < least)
        {
            request = rounded_up(name, least);
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

fn requirements(resources: Option<&Value>) -> ResourceRequirements {
    // What can't be read, the server has refused before it asks.
    resources
        .and_then(|resources| serde_json::from_value(resources.clone()).ok())
        .unwrap_or_default()
}

fn says_nothing(resources: &ResourceRequirements) -> bool {
    NAMES
        .iter()
        .all(|name| has(&resources.limits, name) == 0 && has(&resources.requests, name) == 0)
}

fn is_guaranteed(resources: &ResourceRequirements) -> bool {
    NAMES.iter().all(|name| {
        let limit = has(&resources.limits, name);
        let requests = resources.requests.as_ref();
        let request = requests.and_then(|requests| amount(requests.get(*name)?));
        limit > 0 && request.is_none_or(|request| request == limit)
    })
}

/// How much there is of a resource; none where nothing is said.
fn has(quantities: &Quantities, name: &str) -> i128 {
    quantities.as_ref().and_then(|quantities| amount(quantities.get(name)?)).unwrap_or_default()
}

/// The least of which a resource is no more than the ratio's many times.
fn divided(resource: i128, ratio: i128) -> Option<i128> {
    let most = resource.checked_mul(ONE)?;
    let rest = i128::from(most.checked_rem(ratio)? > 0);
    Some(most / ratio + rest).filter(|_| ratio > 0)
}

/// The next quantity that people would write: whole thousandths of a core, whole kibibytes.
fn rounded_up(name: &str, amount: i128) -> Quantity {
    let (unit, suffix) = if name == "cpu" { (ONE / 1000, "m") } else { (ONE << 10, "Ki") };
    Quantity(format!("{}{suffix}", amount / unit + i128::from(amount % unit > 0)))
}

/// A resource as often as a ratio says.
fn times(resource: i128, ratio: &Quantity) -> Option<i128> {
    Some(resource.saturating_mul(amount(ratio)?) / ONE)
}

#[cfg(test)]
mod tests;
