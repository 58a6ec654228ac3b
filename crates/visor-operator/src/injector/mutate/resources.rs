//! Resource requirements of an injected generator. They preserve the QoS class of the pod, by which
//! the kubelet chooses pods to evict, and stay within the limit ranges of the namespace. Pure.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{
    api::core::v1::{LimitRangeItem, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use serde_json::{Map, Value};

use super::{items, text};
use visor_api::amount::{ONE, amount};

/// The resources that determine the QoS class. The generator requests no others.
const NAMES: [&str; 2] = ["cpu", "memory"];

/// The defaults: enough for some hundred thousand lines per second. They are small, because they
/// count against a quota of the namespace.
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

/// The resource requirements of a pod.
pub(super) struct PodResources {
    /// At the pod level, shared by its containers.
    whole: ResourceRequirements,
    /// Of its containers: first the init containers, in order.
    containers: Vec<ContainerResources>,
}

struct ContainerResources {
    resources: ResourceRequirements,
    /// Whether it keeps running: not an ordinary init container.
    keeps_running: bool,
}

impl PodResources {
    pub(super) fn of(spec: &Map<String, Value>) -> Self {
        let preparing = items(spec, "initContainers").map(|container| ContainerResources {
            resources: requirements(container.get("resources")),
            keeps_running: text(container, "restartPolicy") == Some("Always"),
        });
        let working = items(spec, "containers").map(|container| ContainerResources {
            resources: requirements(container.get("resources")),
            keeps_running: true,
        });
        Self {
            whole: requirements(spec.get("resources")),
            containers: preparing.chain(working).collect(),
        }
    }

    /// The QoS class, by the kubelet's rules.
    pub(super) fn class(&self) -> QosClass {
        let all: Vec<_> = if is_empty(&self.whole) {
            self.containers.iter().map(|container| &container.resources).collect()
        } else {
            vec![&self.whole]
        };
        if all.iter().all(|each| is_empty(each)) {
            QosClass::BestEffort
        } else if all.iter().all(|each| is_guaranteed(each)) {
            QosClass::Guaranteed
        } else {
            QosClass::Burstable
        }
    }

    /// The requirements of a generator in this pod: what was specified, completed where that
    /// preserves the QoS class, or else small defaults within the limits of the namespace.
    pub(super) fn for_generator(
        &self,
        specified: Option<&ResourceRequirements>,
        limits_of: &[LimitRangeItem],
    ) -> ResourceRequirements {
        let has_its_own = !is_empty(&self.whole);
        match (self.class(), specified) {
            (QosClass::Guaranteed, specified) if !has_its_own => guaranteed(specified, limits_of),
            (_, Some(specified)) => specified.clone(),
            (QosClass::Burstable, None) if !has_its_own => small_defaults(limits_of),
            (_, None) => ResourceRequirements::default(),
        }
    }

    /// Whether the pod is within the limits that its namespace has for pods.
    ///
    /// # Errors
    ///
    /// The limit for which the API server would reject the pod.
    pub(super) fn fits(&self, limits_of: &[LimitRangeItem]) -> Result<(), String> {
        for limits_of in limits_of.iter().filter(|limits_of| limits_of.type_ == "Pod") {
            for (name, maximum) in limits_of.max.iter().flatten() {
                let sum = self.limit(name).max(self.request(name));
                if amount(maximum).is_some_and(|maximum| sum > maximum) {
                    return Err(format!(
                        "injecting would exceed the LimitRange's Pod maximum for {name} ({})",
                        maximum.0
                    ));
                }
            }
            for (name, maximum) in limits_of.max_limit_request_ratio.iter().flatten() {
                let max_limit = times(self.request(name), maximum);
                if max_limit.is_some_and(|max_limit| self.limit(name) > max_limit) {
                    return Err(format!(
                        "injecting would exceed the LimitRange's Pod maxLimitRequestRatio for {name} ({})",
                        maximum.0
                    ));
                }
            }
        }
        Ok(())
    }

    fn limit(&self, name: &str) -> i128 {
        self.in_use(name, |resources| &resources.limits)
    }

    fn request(&self, name: &str) -> i128 {
        self.in_use(name, |resources| &resources.requests)
    }

    /// The maximum of a resource that is in use at any time.
    fn in_use(&self, name: &str, of: fn(&ResourceRequirements) -> &Quantities) -> i128 {
        if let Some(whole) = of(&self.whole).as_ref().and_then(|whole| whole.get(name)) {
            return amount(whole).unwrap_or_default();
        }
        let (mut staying, mut maximum) = (0_i128, 0);
        for container in &self.containers {
            let now = staying.saturating_add(has(of(&container.resources), name));
            maximum = now.max(maximum);
            if container.keeps_running {
                staying = now;
            }
        }
        maximum
    }
}

fn guaranteed(
    specified: Option<&ResourceRequirements>,
    limits_of: &[LimitRangeItem],
) -> ResourceRequirements {
    let mut filled = specified.cloned().unwrap_or_default();
    for (name, default) in NAMES.into_iter().zip(LIMITS) {
        let limits = filled.limits.get_or_insert_default();
        let requests = filled.requests.get_or_insert_default();
        let limit = limits.get(name).or(requests.get(name)).cloned();
        let limit = limit.unwrap_or_else(|| clamped(name, default, limits_of));
        requests.entry(name.to_owned()).or_insert_with(|| limit.clone());
        limits.entry(name.to_owned()).or_insert(limit);
    }
    filled
}

fn small_defaults(limits_of: &[LimitRangeItem]) -> ResourceRequirements {
    let mut small_defaults = ResourceRequirements::default();
    for ((name, request), limit) in NAMES.into_iter().zip(REQUESTS).zip(LIMITS) {
        let limit = clamped(name, limit, limits_of);
        let mut request = clamped(name, request, limits_of);
        // The ratios for pods as well: a pod within its ratio stays within it if the container added to
        // it is within it, too.
        let minimum = limits_of.iter().filter_map(|limits_of| {
            let ratio = amount(limits_of.max_limit_request_ratio.as_ref()?.get(name)?)?;
            divided(amount(&limit)?, ratio)
        });
        // No more than necessary: a request reserves resources.
        if let Some(minimum) = minimum.max()
            && amount(&request).is_some_and(|request| request < minimum)
        {
            request = rounded_up(name, minimum);
        }
        small_defaults.requests.get_or_insert_default().insert(name.to_owned(), request);
        small_defaults.limits.get_or_insert_default().insert(name.to_owned(), limit);
    }
    small_defaults
}

/// A quantity, clamped to the limits.
fn clamped(name: &str, quantity: &str, limits_of: &[LimitRangeItem]) -> Quantity {
    let mut clamped = Quantity(quantity.to_owned());
    for limits_of in of_containers(limits_of) {
        if let Some(minimum) = limits_of.min.as_ref().and_then(|minimum| minimum.get(name))
            && amount(minimum) > amount(&clamped)
        {
            clamped = minimum.clone();
        }
        if let Some(maximum) = limits_of.max.as_ref().and_then(|maximum| maximum.get(name))
            && amount(maximum) < amount(&clamped)
        {
            clamped = maximum.clone();
        }
    }
    clamped
}

fn of_containers(limits_of: &[LimitRangeItem]) -> impl Iterator<Item = &LimitRangeItem> {
    limits_of.iter().filter(|limits_of| limits_of.type_ == "Container")
}

fn requirements(resources: Option<&Value>) -> ResourceRequirements {
    // The API server has validated these already.
    resources
        .and_then(|resources| serde_json::from_value(resources.clone()).ok())
        .unwrap_or_default()
}

fn is_empty(resources: &ResourceRequirements) -> bool {
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

/// The amount of a resource; 0 if it isn't set.
fn has(quantities: &Quantities, name: &str) -> i128 {
    quantities.as_ref().and_then(|quantities| amount(quantities.get(name)?)).unwrap_or_default()
}

/// The smallest amount of which `resource` is at most `ratio` times as much.
fn divided(resource: i128, ratio: i128) -> Option<i128> {
    let maximum = resource.checked_mul(ONE)?;
    let rest = i128::from(maximum.checked_rem(ratio)? > 0);
    Some(maximum / ratio + rest).filter(|_| ratio > 0)
}

/// Rounds up to whole thousandths of a core or whole kibibytes.
fn rounded_up(name: &str, amount: i128) -> Quantity {
    let (unit, suffix) = if name == "cpu" { (ONE / 1000, "m") } else { (ONE << 10, "Ki") };
    Quantity(format!("{}{suffix}", amount / unit + i128::from(amount % unit > 0)))
}

/// A resource times a ratio.
fn times(resource: i128, ratio: &Quantity) -> Option<i128> {
    Some(resource.saturating_mul(amount(ratio)?) / ONE)
}

#[cfg(test)]
mod tests;
