//! The formats of an access log by their names, and what these mean. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, VariantNames};

use crate::{
    log_format::{Field, Item, LogFormat, Namespace},
    nginx_log_format::{self, NginxLogFormat},
};

/// The formats of an access log: Apache's, by their nicknames, nginx's, and others.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    EnumString,
    VariantNames,
)]
#[strum(ascii_case_insensitive)]
pub enum AccessFormat {
    /// `%h %l %u %t "%r" %>s %b`
    Common,
    /// Common and ` "%{Referer}i" "%{User-Agent}i"`
    #[default]
    Combined,
    /// Combined and ` %I %O`
    CombinedIo,
    /// `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`
    VhostCombined,
    /// One JSON object per line, with the field names of the Elastic Common Schema and times in UTC
    Json,
    /// The format string in `logFormat`
    Custom,
    /// nginx's predefined format `combined`: `$remote_addr - $remote_user [$time_local] "$request"
    /// $status $body_bytes_sent "$http_referer" "$http_user_agent"`
    NginxCombined,
    /// The format string in `nginxLogFormat`
    NginxCustom,
}

/// A format that LogFormat can't express, because its escaping or its optional fields differ from
/// Apache's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForeignFormat {
    /// [`AccessFormat::Json`]
    Json,
}

/// A valid format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Format {
    /// One of Apache's LogFormat directive.
    LogFormat(LogFormat),
    /// One of nginx's `log_format` directive.
    Nginx(NginxLogFormat),
    /// Another one.
    Foreign(ForeignFormat),
}

/// The meaning of a format's name.
pub enum Definition {
    /// A string of Apache's LogFormat directive.
    LogFormat(&'static str),
    /// The string in the document.
    Custom,
    /// A string of nginx's `log_format` directive.
    Nginx(&'static str),
    /// The string in the document.
    NginxCustom,
    /// Another one.
    Foreign(ForeignFormat),
}

impl AccessFormat {
    /// Whether it is one of nginx.
    pub const fn is_of_nginx(self) -> bool {
        matches!(self, Self::NginxCombined | Self::NginxCustom)
    }

    /// The meaning of the name. The strings are those of httpd's default configuration.
    pub const fn definition(self) -> Definition {
        Definition::LogFormat(match self {
            Self::Common => r#"%h %l %u %t "%r" %>s %b"#,
            Self::Combined => r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#,
            Self::CombinedIo => r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O"#,
            Self::VhostCombined => {
                r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#
            }
            Self::Json => return Definition::Foreign(ForeignFormat::Json),
            Self::Custom => return Definition::Custom,
            Self::NginxCombined => return Definition::Nginx(nginx_log_format::COMBINED),
            Self::NginxCustom => return Definition::NginxCustom,
        })
    }
}

/// Where a line of an access log has its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenPlace {
    /// Where the format has an identifier of the request.
    Id,
    /// In a parameter of the request target.
    Target,
    /// In a parameter of the referer.
    Referer,
}

impl Format {
    /// Where its lines have room for a token, the best place first. `%{UNIQUE_ID}e` and the
    /// identifier in JSON always are tokens.
    pub fn token_places(&self) -> Vec<TokenPlace> {
        let places: Vec<_> = match self {
            Self::LogFormat(format) => format.items.iter().filter_map(place_of_item).collect(),
            Self::Nginx(format) => format.items.iter().filter_map(place_of_variable).collect(),
            Self::Foreign(ForeignFormat::Json) => vec![TokenPlace::Id],
        };
        let all = [TokenPlace::Id, TokenPlace::Target, TokenPlace::Referer];
        all.into_iter().filter(|place| places.contains(place)).collect()
    }

    /// How often a line shows its token, at most, if it is at this place, or only where the format has
    /// an identifier.
    pub fn tokens_in_line(&self, place: Option<TokenPlace>) -> usize {
        let shows = |shown: &TokenPlace| *shown == TokenPlace::Id || Some(*shown) == place;
        match self {
            Self::LogFormat(format) => {
                let fields = format.items.iter().filter_map(|item| match item {
                    Item::Directive(directive) => place_of_field(&directive.field),
                    Item::Literal(_) => None,
                });
                fields.filter(shows).count()
            }
            Self::Nginx(format) => {
                format.items.iter().filter_map(place_of_variable).filter(shows).count()
            }
            Self::Foreign(ForeignFormat::Json) => 1,
        }
    }
}

fn place_of_item(item: &Item) -> Option<TokenPlace> {
    match item {
        Item::Directive(directive) if directive.condition.is_none() => {
            place_of_field(&directive.field)
        }
        _ => None,
    }
}

fn place_of_field(field: &Field) -> Option<TokenPlace> {
    match field {
        Field::RequestLine | Field::Query => Some(TokenPlace::Target),
        Field::Named(Namespace::Environment, name) if name == "UNIQUE_ID" => Some(TokenPlace::Id),
        Field::Named(Namespace::RequestHeader, name) if name.eq_ignore_ascii_case("Referer") => {
            Some(TokenPlace::Referer)
        }
        _ => None,
    }
}

fn place_of_variable(item: &nginx_log_format::Item) -> Option<TokenPlace> {
    let nginx_log_format::Item::Variable(name) = item else { return None };
    match name.as_str() {
        "request" | "request_uri" | "args" | "query_string" => Some(TokenPlace::Target),
        "http_referer" => Some(TokenPlace::Referer),
        _ => None,
    }
}
