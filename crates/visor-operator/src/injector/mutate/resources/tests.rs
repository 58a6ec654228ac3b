//! Classes and bounds, as Kubernetes' documentation has them.

use serde_json::json;

use super::*;

fn spec(containers: &Value) -> Map<String, Value> {
    json!({"containers": containers}).as_object().unwrap().clone()
}

fn generators(
    spec: &Map<String, Value>,
    said: Option<&ResourceRequirements>,
    bounds: &[LimitRangeItem],
) -> ResourceRequirements {
    PodResources::of(spec).for_generator(said, bounds)
}

fn fits(spec: &Map<String, Value>, bounds: &[LimitRangeItem]) -> Result<(), String> {
    PodResources::of(spec).fits(bounds)
}

/// The spec of a pod whose containers have these resources.
fn with(resources: &[Value]) -> Map<String, Value> {
    spec(&resources.iter().map(|each| json!({"resources": each})).collect())
}

fn even(cpu: &str, memory: &str) -> Value {
    json!({"limits": {"cpu": cpu, "memory": memory}, "requests": {"cpu": cpu, "memory": memory}})
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_class_is_what_a_kubelet_makes_of_it() {
    let guaranteed = even("1", "1Gi");
    let only_limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    let other_words = json!({
        "limits": {"cpu": "1000m", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1024Mi"},
    });
    let less = json!({
        "limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"},
    });
    let half = json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}});
    let nothing = json!({"requests": {"cpu": "0", "memory": "0Mi"}, "limits": {"disk": "1"}});
    let class = |resources: &[Value]| PodResources::of(&with(resources)).class();
    for resources in [&guaranteed, &only_limits, &other_words] {
        assert_eq!(class(std::slice::from_ref(resources)), QosClass::Guaranteed, "{resources}");
    }
    for resources in
        [[guaranteed.clone(), less], [guaranteed.clone(), half], [guaranteed, json!({})]]
    {
        assert_eq!(class(&resources), QosClass::Burstable, "{resources:?}");
    }
    assert_eq!(class(&[nothing, Value::Null]), QosClass::BestEffort);
}

/// All relevant containers are considered, including init containers.
#[test]
fn an_init_container_counts() {
    let mut pod = with(&[even("1", "1Gi")]);
    pod.insert("initContainers".to_owned(), json!([{"resources": {}}]));
    assert_eq!(PodResources::of(&pod).class(), QosClass::Burstable);
}

#[test]
fn a_generator_keeps_the_class_of_its_pod() {
    let burstable = json!({"requests": {"cpu": "1"}});
    for resources in [even("1", "1Gi"), burstable, Value::Null] {
        let pod = with(std::slice::from_ref(&resources));
        let generator = serde_json::to_value(generators(&pod, None, &[])).unwrap();
        assert_eq!(
            PodResources::of(&with(&[resources, generator])).class(),
            PodResources::of(&pod).class()
        );
    }
}

#[test]
fn given_resources_are_kept_and_completed_if_that_keeps_the_class() {
    let pod = with(&[even("1", "1Gi")]);
    let said = read(json!({"limits": {"memory": "96Mi"}, "requests": {"cpu": "50m"}}));
    assert_eq!(generators(&pod, Some(&said), &[]), read(even("50m", "96Mi")));
    // The class can't be kept: given values are used.
    let said = read(json!({"limits": {"memory": "96Mi"}, "requests": {"memory": "32Mi"}}));
    let filled = generators(&pod, Some(&said), &[]);
    assert_eq!(filled.requests.unwrap()["memory"].0, "32Mi");
    for resources in [Value::Null, json!({"requests": {"cpu": "1"}})] {
        assert_eq!(generators(&with(&[resources]), Some(&said), &[]), said);
    }
}

#[test]
fn a_pod_that_has_resources_as_a_whole_shares_them_out_itself() {
    for resources in [even("2", "2Gi"), json!({"requests": {"cpu": "1"}})] {
        let mut pod = with(&[even("1", "1Gi")]);
        pod.insert("resources".to_owned(), resources);
        assert_eq!(generators(&pod, None, &[]), ResourceRequirements::default());
    }
}

fn bounds(kind: &str, bounds: Value) -> Vec<LimitRangeItem> {
    let mut item = bounds;
    item["type"] = json!(kind);
    vec![read(item)]
}

#[test]
fn defaults_are_adjusted_to_the_limits_of_the_namespace() {
    let burstable = with(&[json!({"requests": {"cpu": "1"}})]);
    let guaranteed = with(&[even("1", "1Gi")]);
    let least = bounds("Container", json!({"min": {"cpu": "200m", "memory": "48Mi"}}));
    let moved = generators(&burstable, None, &least);
    assert_eq!(
        moved,
        read(json!({
            "requests": {"cpu": "200m", "memory": "48Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"},
        }))
    );
    assert_eq!(generators(&guaranteed, None, &least), read(even("200m", "64Mi")));
    let most = bounds("Container", json!({"max": {"cpu": "5m", "memory": "48Mi"}}));
    assert_eq!(generators(&guaranteed, None, &most), read(even("5m", "48Mi")));
    let ratio = bounds("Container", json!({"maxLimitRequestRatio": {"cpu": "9", "memory": "2"}}));
    let moved = generators(&burstable, None, &ratio);
    let requests = moved.requests.unwrap();
    assert_eq!((&*requests["cpu"].0, &*requests["memory"].0), ("12m", "32Mi"));
    assert_eq!(generators(&guaranteed, None, &ratio), read(even("100m", "64Mi")));
    // Given values are used even if they exceed the limits: the server reports that.
    let said = read(even("1m", "1Mi"));
    assert_eq!(generators(&burstable, Some(&said), &least), said);
    // Bounds of claims and of whole pods are others.
    let claims = bounds("PersistentVolumeClaim", json!({"min": {"cpu": "1"}}));
    assert_eq!(generators(&burstable, None, &claims), generators(&burstable, None, &[]));
}

#[test]
fn a_pod_that_would_exceed_its_limits_is_rejected() {
    let pod = with(&[even("1", "1Gi"), even("100m", "64Mi")]);
    let most = |cpu: &str| bounds("Pod", json!({"max": {"cpu": cpu}}));
    assert_eq!(fits(&pod, &most("1100m")), Ok(()));
    let why = fits(&pod, &most("1")).unwrap_err();
    assert!(why.contains("maximum for cpu (1)"), "{why}");
    assert_eq!(fits(&pod, &bounds("Container", json!({"max": {"cpu": "1"}}))), Ok(()));
    let mut native = with(&[even("1", "1Gi")]);
    let sidecar = json!([{"restartPolicy": "Always", "resources": even("100m", "64Mi")}]);
    native.insert("initContainers".to_owned(), sidecar);
    assert!(fits(&native, &most("1")).is_err());
}

/// A bound that a pod fills to the last bit, in fractions that no binary number is.
#[test]
fn a_pod_may_fill_its_bounds() {
    let pod = with(&[even("0.1", "0.1Gi"), even("0.2", "0.2Gi")]);
    let most = |cpu: &str| bounds("Pod", json!({"max": {"cpu": cpu, "memory": "1Gi"}}));
    assert_eq!(fits(&pod, &most("0.3")), Ok(()));
    assert_eq!(fits(&pod, &most("300m")), Ok(()));
    assert!(fits(&pod, &most("299999999n")).is_err());
}

/// Containers that prepare a pod have what they have one after the other.
#[test]
fn what_counts_is_what_there_is_at_one_time() {
    let mut pod = with(&[even("300m", "1Gi"), even("100m", "1Gi")]);
    let preparing = |restart: &str| {
        let each = json!({"resources": even("200m", "1Gi"), "restartPolicy": restart});
        json!([each, each])
    };
    let most = |cpu: &str| bounds("Pod", json!({"max": {"cpu": cpu}}));
    pod.insert("initContainers".to_owned(), preparing("Never"));
    assert_eq!(fits(&pod, &most("400m")), Ok(()));
    pod.insert("initContainers".to_owned(), preparing("Always"));
    assert!(fits(&pod, &most("799m")).is_err());
    assert_eq!(fits(&pod, &most("800m")), Ok(()));
    // One that needs more than the whole pod does, later.
    pod.insert("initContainers".to_owned(), json!([{"resources": even("1", "1Gi")}]));
    assert!(fits(&pod, &most("800m")).is_err());
}

#[test]
fn a_pods_ratio_of_limit_and_request_is_kept() {
    let ratio = bounds("Pod", json!({"maxLimitRequestRatio": {"cpu": "1.5"}}));
    let burstable = with(&[json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1500m"}})]);
    let generator = generators(&burstable, None, &ratio);
    assert_eq!(generator.requests.as_ref().unwrap()["cpu"].0, "67m");
    let both = |generator: &ResourceRequirements| {
        let generator = serde_json::to_value(generator).unwrap();
        let own = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1500m"}});
        with(&[own, generator])
    };
    assert_eq!(fits(&both(&generator), &ratio), Ok(()));
    let said = read(json!({"requests": {"cpu": "10m"}, "limits": {"cpu": "100m"}}));
    let why = fits(&both(&generators(&burstable, Some(&said), &ratio)), &ratio).unwrap_err();
    assert!(why.contains("maxLimitRequestRatio for cpu (1.5)"), "{why}");
}
