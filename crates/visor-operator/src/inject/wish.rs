//! What a pod asks for, by its labels and annotations and those of its namespace. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;

use super::{
    INJECT, INJECTED, RESOURCES, SOURCE, VOLUME,
    names::{is_label, is_subdomain},
};

type Map = BTreeMap<String, String>;

/// What a pod asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish {
    pub(crate) source: String,
    pub(crate) volume: Option<String>,
    pub(crate) resources: Option<ResourceRequirements>,
}

/// What a namespace asks for its pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamespaceWish {
    pub(crate) inject: bool,
    pub(crate) source: Option<String>,
}

impl NamespaceWish {
    pub(crate) fn read(labels: &Map, annotations: &Map) -> Self {
        Self {
            inject: labels.get(INJECT).is_some_and(|value| value == "true"),
            source: annotations.get(SOURCE).cloned(),
        }
    }
}

impl Wish {
    /// Reads a pod's wish; `None` if it has none, or has been given it. The pod's own word counts
    /// before that of its namespace.
    ///
    /// # Errors
    ///
    /// A wish that nobody can make out, in words for whoever wrote it.
    pub(crate) fn read(
        labels: &Map,
        annotations: &Map,
        namespace: &NamespaceWish,
    ) -> Result<Option<Self>, String> {
        let wishes = match labels.get(INJECT).map(String::as_str) {
            Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(format!("the label {INJECT} must be `true` or `false`")),
            None => namespace.inject,
        };
        if !wishes || annotations.contains_key(INJECTED) {
            return Ok(None);
        }
        let source = annotations.get(SOURCE).or(namespace.source.as_ref()).ok_or_else(|| {
            format!("which source? name one by the annotation {SOURCE} of the pod or its namespace")
        })?;
        if !is_subdomain(source) {
            return Err(format!(
                "the annotation {SOURCE} must be the name of a FakeLogSource, such as `shop`"
            ));
        }
        let volume = annotations.get(VOLUME);
        if volume.is_some_and(|volume| !is_label(volume)) {
            return Err(format!(
                "the annotation {VOLUME} must be the name of a volume of the pod, such as `logs`"
            ));
        }
        let resources = annotations.get(RESOURCES).map(|text| {
            serde_json::from_str(text).map_err(|error| {
                format!(
                    "the annotation {RESOURCES} must be JSON such as \
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

    fn read(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Result<Option<Wish>, String> {
        Wish::read(&map(labels), &map(annotations), &NamespaceWish::default())
    }

    #[test]
    fn a_pod_asks_by_a_label_and_names_the_source_by_an_annotation() {
        let wish =
            read(&[(INJECT, "true")], &[(SOURCE, "shop"), (VOLUME, "logs")]).unwrap().unwrap();
        assert_eq!((wish.source.as_str(), wish.volume.as_deref()), ("shop", Some("logs")));
        assert_eq!(read(&[], &[(SOURCE, "shop")]), Ok(None));
        assert_eq!(read(&[(INJECT, "false")], &[(SOURCE, "shop")]), Ok(None));
    }

    #[test]
    fn a_pod_counts_before_its_namespace() {
        let namespace = NamespaceWish::read(&map(&[(INJECT, "true")]), &map(&[(SOURCE, "all")]));
        let read = |labels: &[(&str, &str)], annotations: &[(&str, &str)]| {
            let wish = Wish::read(&map(labels), &map(annotations), &namespace).unwrap();
            wish.map(|wish| wish.source)
        };
        assert_eq!(read(&[], &[]).as_deref(), Some("all"));
        assert_eq!(read(&[], &[(SOURCE, "own")]).as_deref(), Some("own"));
        assert_eq!(read(&[(INJECT, "true")], &[]).as_deref(), Some("all"));
        assert_eq!(read(&[(INJECT, "false")], &[(SOURCE, "own")]), None);
    }

    #[test]
    fn a_pod_that_has_been_given_its_wish_has_none() {
        assert_eq!(read(&[(INJECT, "true")], &[(SOURCE, "shop"), (INJECTED, "1")]), Ok(None));
    }

    #[test]
    fn a_wish_that_nobody_can_make_out_says_what_to_write() {
        assert!(read(&[(INJECT, "yes")], &[]).unwrap_err().contains("`true` or `false`"));
        assert!(read(&[(INJECT, "true")], &[]).unwrap_err().contains(SOURCE));
        let odd = [(SOURCE, "shop\nall is well")];
        assert!(!read(&[(INJECT, "true")], &odd).unwrap_err().contains("well"));
        let odd = [(SOURCE, "shop"), (VOLUME, "../x")];
        assert!(read(&[(INJECT, "true")], &odd).unwrap_err().contains("such as `logs`"));
        let resources = [(SOURCE, "shop"), (RESOURCES, "64Mi")];
        assert!(read(&[(INJECT, "true")], &resources).unwrap_err().contains("must be JSON"));
        let resources = [(SOURCE, "shop"), (RESOURCES, r#"{"limits": {"memory": "64Mi"}}"#)];
        let wish = read(&[(INJECT, "true")], &resources).unwrap().unwrap();
        assert_eq!(wish.resources.unwrap().limits.unwrap()["memory"].0, "64Mi");
    }
}
