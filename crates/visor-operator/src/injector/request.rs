//! The injection request of a pod, from its labels and annotations and those of its namespace.
//! Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;

use super::{
    INJECT_LABEL, INJECTED_ANNOTATION, RESOURCES_ANNOTATION, SOURCE_ANNOTATION, VOLUME_ANNOTATION,
    names::{is_label, is_subdomain},
};

type Map = BTreeMap<String, String>;

/// An injection request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InjectionRequest {
    pub(crate) source: String,
    pub(crate) volume: Option<String>,
    pub(crate) resources: Option<ResourceRequirements>,
}

/// The defaults of a namespace for its pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamespaceDefaults {
    pub(crate) inject: bool,
    pub(crate) source: Option<String>,
}

impl NamespaceDefaults {
    pub(crate) fn read(labels: &Map, annotations: &Map) -> Self {
        Self {
            inject: labels.get(INJECT_LABEL).is_some_and(|value| value == "true"),
            source: annotations.get(SOURCE_ANNOTATION).cloned(),
        }
    }
}

impl InjectionRequest {
    /// Reads a pod's request; `None` if it has none, or has been injected already. The pod's own
    /// labels and annotations take precedence over those of its namespace.
    ///
    /// # Errors
    ///
    /// If the request is invalid, for the author of the pod.
    pub(crate) fn read(
        labels: &Map,
        annotations: &Map,
        namespace: &NamespaceDefaults,
    ) -> Result<Option<Self>, String> {
        let is_requested = match labels.get(INJECT_LABEL).map(String::as_str) {
            Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(format!("label {INJECT_LABEL} must be `true` or `false`")),
            None => namespace.inject,
        };
        if !is_requested || annotations.contains_key(INJECTED_ANNOTATION) {
            return Ok(None);
        }
        let source = annotations.get(SOURCE_ANNOTATION).or(namespace.source.as_ref()).ok_or_else(|| {
            format!("annotation {SOURCE_ANNOTATION} is missing on the pod and on its namespace; set it to the name of a FakeLogSource")
        })?;
        if !is_subdomain(source) {
            return Err(format!(
                "annotation {SOURCE_ANNOTATION} must be the name of a FakeLogSource, such as `shop`"
            ));
        }
        let volume = annotations.get(VOLUME_ANNOTATION);
        if volume.is_some_and(|volume| !is_label(volume)) {
            return Err(format!(
                "annotation {VOLUME_ANNOTATION} must be the name of a volume of the pod, such as `logs`"
            ));
        }
        let resources = annotations.get(RESOURCES_ANNOTATION).map(|text| {
            serde_json::from_str(text).map_err(|error| {
                format!(
                    "annotation {RESOURCES_ANNOTATION} must be JSON such as \
                     `{{\"limits\": {{\"memory\": \"64Mi\"}}}}`: {error}"
                )
            })
        });
        Ok(Some(Self {
            source: source.clone(),
            volume: volume.cloned(),
            resources: resources.transpose()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Map {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn read(
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
    ) -> Result<Option<InjectionRequest>, String> {
        InjectionRequest::read(&map(labels), &map(annotations), &NamespaceDefaults::default())
    }

    #[test]
    fn a_pod_asks_by_a_label_and_names_the_source_by_an_annotation() {
        let request = read(
            &[(INJECT_LABEL, "true")],
            &[(SOURCE_ANNOTATION, "shop"), (VOLUME_ANNOTATION, "logs")],
        )
        .unwrap()
        .unwrap();
        assert_eq!((request.source.as_str(), request.volume.as_deref()), ("shop", Some("logs")));
        assert_eq!(read(&[], &[(SOURCE_ANNOTATION, "shop")]), Ok(None));
        assert_eq!(read(&[(INJECT_LABEL, "false")], &[(SOURCE_ANNOTATION, "shop")]), Ok(None));
    }

    #[test]
    fn a_pod_takes_precedence_over_its_namespace() {
        let namespace = NamespaceDefaults::read(
            &map(&[(INJECT_LABEL, "true")]),
            &map(&[(SOURCE_ANNOTATION, "all")]),
        );
        let read = |labels: &[(&str, &str)], annotations: &[(&str, &str)]| {
            let request =
                InjectionRequest::read(&map(labels), &map(annotations), &namespace).unwrap();
            request.map(|request| request.source)
        };
        assert_eq!(read(&[], &[]).as_deref(), Some("all"));
        assert_eq!(read(&[], &[(SOURCE_ANNOTATION, "own")]).as_deref(), Some("own"));
        assert_eq!(read(&[(INJECT_LABEL, "true")], &[]).as_deref(), Some("all"));
        assert_eq!(read(&[(INJECT_LABEL, "false")], &[(SOURCE_ANNOTATION, "own")]), None);
    }

    #[test]
    fn an_injected_pod_has_no_request() {
        assert_eq!(
            read(
                &[(INJECT_LABEL, "true")],
                &[(SOURCE_ANNOTATION, "shop"), (INJECTED_ANNOTATION, "1")]
            ),
            Ok(None)
        );
    }

    #[test]
    fn an_invalid_request_says_what_to_write() {
        assert!(read(&[(INJECT_LABEL, "yes")], &[]).unwrap_err().contains("`true` or `false`"));
        assert!(read(&[(INJECT_LABEL, "true")], &[]).unwrap_err().contains(SOURCE_ANNOTATION));
        let odd = [(SOURCE_ANNOTATION, "shop\nall is well")];
        assert!(!read(&[(INJECT_LABEL, "true")], &odd).unwrap_err().contains("well"));
        let odd = [(SOURCE_ANNOTATION, "shop"), (VOLUME_ANNOTATION, "../x")];
        assert!(read(&[(INJECT_LABEL, "true")], &odd).unwrap_err().contains("such as `logs`"));
        let resources = [(SOURCE_ANNOTATION, "shop"), (RESOURCES_ANNOTATION, "64Mi")];
        assert!(read(&[(INJECT_LABEL, "true")], &resources).unwrap_err().contains("must be JSON"));
        let resources = [
            (SOURCE_ANNOTATION, "shop"),
            (RESOURCES_ANNOTATION, r#"{"limits": {"memory": "64Mi"}}"#),
        ];
        let request = read(&[(INJECT_LABEL, "true")], &resources).unwrap().unwrap();
        assert_eq!(request.resources.unwrap().limits.unwrap()["memory"].0, "64Mi");
    }
}
