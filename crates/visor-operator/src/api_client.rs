//! The client of the API server: what the server supports, and how it is asked. Visor runs on many
//! versions of Kubernetes, so the server is asked rather than assumed.

mod requests;

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
    discovery,
    runtime::watcher,
};
use tracing::info;

pub(crate) use requests::{RequestLayer, Throttle};

/// The watch configuration for kinds with thousands of objects: the initial list is read in pages
/// of a hundred, because a page is held in memory before the caches drop what they don't need.
pub(crate) fn paged_watch() -> watcher::Config {
    watcher::Config::default().page_size(100)
}

/// What the API server supports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiCapabilities {
    /// Init containers with `restartPolicy: Always` (enabled by default since 1.29).
    pub(crate) native_sidecars: bool,
    /// The Prometheus Operator's API.
    pub(crate) pod_monitors: bool,
}

const NATIVE_SIDECARS_SINCE: (u32, u32) = (1, 29);

impl ApiCapabilities {
    /// Asks the API server. `monitor` is the resource of `PodMonitor`s.
    ///
    /// # Errors
    ///
    /// If it doesn't respond.
    pub(crate) async fn discover(client: &Client, monitor: &ApiResource) -> kube::Result<Self> {
        let version = client.apiserver_version().await?;
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
            native_sidecars, pod_monitors, "connected to the API server"
        );
        Ok(Self { native_sidecars, pod_monitors })
    }
}

/// Whether `FakeLogSource`s can be listed: the CRD is installed, and the service account has the
/// permission.
///
/// # Errors
///
/// If they can't be listed.
pub(crate) async fn serves_sources(client: &Client, namespace: Option<&str>) -> kube::Result<()> {
    let resource = ApiResource::erase::<visor_api::FakeLogSource>(&());
    let sources: Api<DynamicObject> = scoped(client, namespace, &resource);
    sources.list_metadata(&ListParams::default().limit(1)).await.map(drop)
}

/// The API of a kind in one namespace, or in all.
pub(crate) fn scoped(
    client: &Client,
    namespace: Option<&str>,
    resource: &ApiResource,
) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Some vendors' minor versions have a suffix, such as `29+`.
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
