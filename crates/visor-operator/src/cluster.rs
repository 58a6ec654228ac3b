//! What the API server at hand can do. Visor runs on many versions of Kubernetes; where that
//! matters the server is asked, never assumed.

use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    discovery,
    runtime::watcher,
};
use tracing::info;

use crate::children::ChildKind;

/// How objects are watched that there may be thousands of: listed by the hundred, for each list is in
/// memory with all that is forgotten of its objects a moment later.
pub(crate) fn many() -> watcher::Config {
    watcher::Config::default().page_size(100)
}

/// What the server can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    /// Init containers that go on running beside the others (on by default since 1.29).
    pub(crate) native_sidecars: bool,
    /// The Prometheus Operator's API.
    pub(crate) pod_monitors: bool,
}

const NATIVE_SIDECARS_SINCE: (u32, u32) = (1, 29);

impl Abilities {
    /// Asks the server.
    ///
    /// # Errors
    ///
    /// When it doesn't answer.
    pub(crate) async fn ask(client: &Client) -> kube::Result<Self> {
        let version = client.apiserver_version().await?;
        let monitor = ChildKind::PodMonitor.resource();
        let groups = client.list_api_groups().await?;
        let has_group = groups.groups.iter().any(|group| group.name == monitor.group);
        let pod_monitors = has_group
            && discovery::pinned_group(
                client,
                &kube::core::GroupVersion {
                    group: monitor.group.clone(),
                    version: monitor.version.clone(),
                },
            )
            .await?
            .resources_by_stability()
            .iter()
            .any(|(resource, _)| resource.plural == monitor.plural);
        let native_sidecars = parse(&version.major, &version.minor) >= NATIVE_SIDECARS_SINCE;
        info!(
            version = version.git_version,
            native_sidecars, pod_monitors, "the Kubernetes API server"
        );
        Ok(Self { native_sidecars, pod_monitors })
    }
}

/// Whether the server serves `FakeLogSource`s to us: the CRD is there, and we may list them.
///
/// # Errors
///
/// When it doesn't.
pub(crate) async fn serves_sources(client: &Client, namespace: Option<&str>) -> kube::Result<()> {
    let resource = kube::core::ApiResource::erase::<visor_api::FakeLogSource>(&());
    let sources: Api<DynamicObject> = scoped(client, namespace, &resource);
    sources.list_metadata(&ListParams::default().limit(1)).await.map(drop)
}

/// The objects of a kind in the namespace that is watched, or everywhere.
pub(crate) fn scoped(
    client: &Client,
    namespace: Option<&str>,
    resource: &kube::core::ApiResource,
) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Some vendors' minor versions carry a suffix, such as `29+`.
fn parse(major: &str, minor: &str) -> (u32, u32) {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    (number(major), number(minor))
}

#[cfg(test)]
mod tests {
    use super::{NATIVE_SIDECARS_SINCE, parse};

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parse("1", "29+") >= NATIVE_SIDECARS_SINCE);
        assert!(parse("1", "36") >= NATIVE_SIDECARS_SINCE);
        assert!(parse("2", "0") >= NATIVE_SIDECARS_SINCE);
        assert!(parse("1", "20") < NATIVE_SIDECARS_SINCE);
        assert!(parse("1", "9") < NATIVE_SIDECARS_SINCE);
        assert!(parse("", "") < NATIVE_SIDECARS_SINCE);
    }
}
