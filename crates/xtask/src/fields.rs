//! `xtask fields`: prints the reference of a `FakeLogSource`'s fields as Markdown, from the schema
//! and the doc comments of the types. `make generate` writes docs/fields.md with it. With a file's name as its
//! argument it prints that file instead, with a table of the most important fields between the
//! two markers in it: so is the README kept.

use std::{
    collections::{HashSet, VecDeque},
    error::Error,
    fmt::{self, Write as _},
    fs,
    io::{self, Write as _},
};

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value as Json};
use visor_api::{
    quantity::{Duration, Size},
    source::{FakeLogSourceSpec, FakeLogSourceStatus},
};

/// What the README shows, as paths below `spec`.
const IMPORTANT: [&str; 26] = [
    "seed",
    "timeZone",
    "suspend",
    "stopAfter.lines",
    "stopAfter.duration",
    "generators[].name",
    "generators[].access.format",
    "generators[].access.logFormat",
    "generators[].access.clients",
    "generators[].access.resources",
    "generators[].access.statuses",
    "generators[].access.userAgents",
    "generators[].access.directives",
    "generators[].error.format",
    "generators[].error.mpm",
    "generators[].streams[].name",
    "generators[].streams[].kind",
    "generators[].streams[].interval",
    "generators[].streams[].surges",
    "generators[].streams[].messages",
    "generators[].output",
    "generators[].output.file.path",
    "generators[].output.file.rotation.maxSize",
    "generators[].output.file.rotation.maxAge",
    "generators[].output.file.rotation.keep",
    "generators[].output.file.rotation.method",
];
const BEGIN: &str = "<!-- fields: written by `make generate` -->\n";
const END: &str = "<!-- /fields -->";
const HEAD: &str = "\
<!-- Written by `make generate` from crates/visor-api. -->

# The fields of a FakeLogSource

A document has `apiVersion: visor.dev/v1alpha1`, `kind: FakeLogSource`, `metadata.name` and the
`spec` below.

- The name has at most 52 characters, begins with a lower-case letter, and goes on with these, digits
  and `-`.
- A *duration* is written as in Go: `250ms`, `1.5s`, `1h30m`; units `ns`, `us`, `ms`, `s`, `m`, `h`;
  at most 100 years.
- A *size* is a whole number of bytes, perhaps with a suffix: `512`, `64Ki`, `10M`, `1Gi`.
- A field without a default may be left out unless it is *required*; its description says what
  that means.
- `visor run` uses every field but `replicas`, `workload`, `volume` and `podTemplate`, which are
  about pods.

What the operator says of a source is its [`status`](#status).
";
/// How many of a type's places are named.
const MOST_PLACES: usize = 3;

/// Prints the reference, or this file with the table in it.
pub(crate) fn print(file: Option<&str>) -> Result<(), Box<dyn Error>> {
    let schema = Schema::of::<FakeLogSourceSpec>();
    let text = match file {
        None => reference(&schema)?,
        Some(name) => {
            with_table(&fs::read_to_string(name)?, &table(&schema)?).ok_or_else(|| {
                format!("{name}: the lines `{}` and `{END}` are missing", BEGIN.trim())
            })?
        }
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// The text with the table between the markers.
fn with_table(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

/// The table of the important fields, with whole paths.
fn table(schema: &Schema) -> Result<String, Box<dyn Error>> {
    let mut text = String::from("| Field of `spec` | Type | Default | |\n|---|---|---|---|\n");
    for path in IMPORTANT {
        let mut field = None;
        let mut holder = schema.root();
        for name in path.split('.') {
            let found = fields(holder).into_iter().find(|f| f.name == name.trim_end_matches("[]"));
            let found = found.ok_or_else(|| format!("there is no field `{path}`"))?;
            holder = schema.held_by(found.schema);
            field = Some(found);
        }
        let field = field.ok_or("an empty path")?;
        let kind = field.kind().replace("](#", "](docs/fields.md#");
        let description = field.description();
        writeln!(text, "| `{path}` | {kind} | {} | {} |", field.default(), cell(&description))?;
    }
    Ok(text)
}

/// A section for every type that the spec leads to, in the order in which it does.
fn reference(schema: &Schema) -> Result<String, fmt::Error> {
    let mut text = HEAD.to_owned();
    for (name, places) in schema.types() {
        match name {
            None => write_section(&mut text, "spec", schema.root(), &places)?,
            Some(name) => write_section(&mut text, name, schema.definition(name), &places)?,
        }
    }
    write_section(&mut text, "status", Schema::of::<FakeLogSourceStatus>().root(), &[])?;
    Ok(text)
}

fn write_section(
    text: &mut String,
    title: &str,
    definition: &Json,
    places: &[String],
) -> fmt::Result {
    write!(text, "\n## {title}\n\n{}\n", line(description_of(definition)))?;
    let (named, others) = places.split_at(places.len().min(MOST_PLACES));
    match (named, others.len()) {
        ([], _) => {}
        (_, 0) => write!(text, "\nAt {}.\n", named.join(", "))?,
        (_, others) => write!(text, "\nAt {} and {others} more places.\n", named.join(", "))?,
    }
    let (values, fields) = (values(definition), fields(definition));
    if !values.is_empty() {
        writeln!(text, "\n| Value | |\n|---|---|")?;
        for (value, description) in values {
            writeln!(text, "| `{value}` | {} |", cell(&line(description)))?;
        }
    } else if fields.is_empty() {
        writeln!(text, "\nIt has no fields: write `{{}}`.")?;
    } else {
        writeln!(text, "\n| Field | Type | Default | Bounds | |\n|---|---|---|---|---|")?;
        for field in fields {
            let (kind, default, bounds) = (field.kind(), field.default(), field.bounds());
            let description = cell(&field.description());
            writeln!(text, "| `{}` | {kind} | {default} | {bounds} | {description} |", field.name)?;
        }
    }
    Ok(())
}

/// The schema of the spec or of the status, with a definition for each type.
struct Schema(Json);

impl Schema {
    fn of<T: JsonSchema>() -> Self {
        Self(SchemaGenerator::default().into_root_schema_for::<T>().into())
    }

    fn root(&self) -> &Json {
        &self.0
    }

    fn definition(&self, name: &str) -> &Json {
        &self.0["$defs"][name]
    }

    /// The type that a field's value, or an element of it, is of; the field's own schema if that
    /// has no name.
    fn held_by<'a>(&'a self, field: &'a Json) -> &'a Json {
        type_name(field).map_or(field, |name| self.definition(name))
    }

    /// The types that are documented here, each with the paths at which it is; first the spec
    /// itself, which has no name.
    fn types(&self) -> Vec<(Option<&str>, Vec<String>)> {
        let mut types: Vec<(Option<&str>, Vec<String>)> = Vec::new();
        let mut waiting = VecDeque::from([(None, self.root(), String::from("spec"))]);
        let mut seen = HashSet::new();
        while let Some((name, definition, path)) = waiting.pop_front() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let place = name.map(|_| format!("`{path}`"));
            match types.iter_mut().find(|(known, _)| *known == name) {
                Some((_, places)) => places.extend(place),
                None => types.push((name, place.into_iter().collect())),
            }
            for field in fields(definition) {
                if let Some(name) = type_name(field.schema).filter(|name| !is_kubernetes(name)) {
                    let list = if field.schema.get("items").is_some() { "[]" } else { "" };
                    let path = format!("{path}.{}{list}", field.name);
                    waiting.push_back((Some(name), self.definition(name), path));
                }
            }
        }
        types
    }
}

/// A field of a type.
struct Field<'a> {
    name: &'a str,
    schema: &'a Json,
    /// That of the choice which the field is, in a type of which exactly one field is set.
    choice: Option<&'a str>,
    required: bool,
}

impl Field<'_> {
    fn description(&self) -> String {
        line(self.choice.unwrap_or_else(|| description_of(self.schema)))
    }

    fn kind(&self) -> String {
        kind(self.schema)
    }

    fn default(&self) -> String {
        match self.schema.get("default") {
            Some(default) => format!("`{}`", cell(&written(default))),
            None if self.required => "*required*".to_owned(),
            None => String::new(),
        }
    }

    fn bounds(&self) -> String {
        let range = |min: &str, max: &str, unit: &str| {
            let (min, max) = (self.schema.get(min), self.schema.get(max));
            match (min, max) {
                (Some(min), Some(max)) => Some(format!("{min} to {max}{unit}")),
                (Some(min), None) => Some(format!("at least {min}{unit}")),
                (None, Some(max)) => Some(format!("at most {max}{unit}")),
                (None, None) => None,
            }
        };
        if is_quantity(self.schema) {
            return String::new();
        }
        let pattern = self.schema.get("pattern").and_then(Json::as_str);
        let bounds = [
            range("minimum", "maximum", ""),
            range("minLength", "maxLength", " characters"),
            range("minItems", "maxItems", " items"),
            pattern.map(|pattern| format!("`{}`", cell(pattern))),
        ];
        bounds.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The fields of a type: the required ones first. Of a type that is a choice, one for each.
fn fields(definition: &Json) -> Vec<Field<'_>> {
    if let Some(choices) = definition.get("oneOf").and_then(Json::as_array)
        && definition.get("properties").is_none()
    {
        let field = |choice| {
            let (name, schema) = properties(choice)?.iter().next()?;
            Some(Field { name, schema, choice: Some(description_of(choice)), required: false })
        };
        return choices.iter().filter_map(field).collect();
    }
    let required: Vec<&str> =
        definition["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let mut fields: Vec<Field<'_>> = properties(definition)
        .into_iter()
        .flatten()
        .map(|(name, schema)| Field {
            name,
            schema,
            choice: None,
            required: required.contains(&name.as_str()),
        })
        .collect();
    let place = |field: &Field<'_>| required.iter().position(|name| *name == field.name);
    fields.sort_by_key(|field| place(field).unwrap_or(required.len()));
    fields
}

fn properties(schema: &Json) -> Option<&Map<String, Json>> {
    schema.get("properties")?.as_object()
}

/// The values of an enumeration with their descriptions.
fn values(definition: &Json) -> Vec<(&str, &str)> {
    let choices = definition.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    choices
        .filter_map(|choice| Some((choice.get("const")?.as_str()?, description_of(choice))))
        .collect()
}

fn kind(schema: &Json) -> String {
    if let Some(items) = schema.get("items") {
        return format!("list of {}", kind(items));
    }
    match type_name(schema) {
        Some(name) if is_kubernetes(name) => {
            format!("Kubernetes' `{}`", name.rsplit('.').next().unwrap_or(name))
        }
        Some(name) => format!("[{name}](#{})", name.to_lowercase()),
        None if schema.get("additionalProperties").is_some() => "map of strings".to_owned(),
        None if has_pattern_of::<Duration>(schema) => "duration".to_owned(),
        None if has_pattern_of::<Size>(schema) => "size".to_owned(),
        None => match &schema["type"] {
            Json::Array(types) => types.first().and_then(Json::as_str).unwrap_or_default(),
            other => other.as_str().unwrap_or_default(),
        }
        .to_owned(),
    }
}

/// The name of the type of a value or, in a list, of its elements.
fn type_name(schema: &Json) -> Option<&str> {
    let options = schema.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    let schemas = [schema].into_iter().chain(schema.get("items")).chain(options);
    let mut references = schemas.filter_map(|schema| schema.get("$ref")?.as_str());
    references.next()?.strip_prefix("#/$defs/")
}

fn is_kubernetes(name: &str) -> bool {
    name.starts_with("io.k8s.")
}

fn is_quantity(schema: &Json) -> bool {
    has_pattern_of::<Duration>(schema) || has_pattern_of::<Size>(schema)
}

fn has_pattern_of<T: JsonSchema>(schema: &Json) -> bool {
    let wanted = T::json_schema(&mut SchemaGenerator::default());
    schema.get("pattern").is_some_and(|pattern| Some(pattern) == wanted.get("pattern"))
}

fn description_of(schema: &Json) -> &str {
    schema.get("description").and_then(Json::as_str).unwrap_or_default()
}

/// A value as YAML has it within a line.
fn written(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name}: {}", written(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A description in one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
