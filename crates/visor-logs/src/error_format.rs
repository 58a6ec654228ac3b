//! The formats of an error log by their names, and what else determines its lines. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::{error_log_format::ErrorLogFormat, release::Release};

/// The formats of an error log: what httpd writes by default, or one of its ErrorLogFormat directive.
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
    IntoStaticStr,
    VariantNames,
)]
#[strum(ascii_case_insensitive)]
pub enum ErrorFormat {
    /// `[Www Mon DD HH:MM:SS.uuuuuu YYYY] [module:level] [pid P:tid T] ... [client IP:PORT] MESSAGE`
    #[default]
    Httpd24,
    /// `[Www Mon DD HH:MM:SS YYYY] [level] [client IP] MESSAGE`
    Httpd22,
    /// The format string in `errorLogFormat`; httpd 2.4 only
    Custom,
}

impl ErrorFormat {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The format of a release without an ErrorLogFormat.
    pub const fn of(release: Release) -> Self {
        match release {
            Release::V2_2_34 => Self::Httpd22,
            Release::V2_4_59 | Release::V2_4_71 => Self::Httpd24,
        }
    }

    /// Whether a release can write it.
    pub fn is_of(self, release: Release) -> bool {
        match self {
            Self::Httpd24 | Self::Httpd22 => self == Self::of(release),
            Self::Custom => release != Release::V2_2_34,
        }
    }

    /// What it means in a release; `custom` is the string in the document. `None` if that is missing.
    pub fn definition(
        self,
        release: Release,
        custom: Option<&ErrorLogFormat>,
    ) -> Option<ErrorLogFormat> {
        let format = match self {
            Self::Httpd24 | Self::Httpd22 => ErrorLogFormat::default_of(release).ok()?,
            Self::Custom => custom?.clone(),
        };
        Some(format.understood_by(release))
    }

    /// The latest release with this format.
    pub const fn latest_release(self) -> Release {
        match self {
            Self::Httpd22 => Release::V2_2_34,
            Self::Httpd24 | Self::Custom => Release::PRESENT,
        }
    }
}

/// A multi-processing module (MPM) of httpd.
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
pub enum Mpm {
    /// Processes with threads, with a listener thread for idle connections
    #[default]
    Event,
    /// Processes with threads
    Worker,
    /// Processes without threads
    Prefork,
}

/// The default document root.
pub const DOCUMENT_ROOT: &str = "/var/www/html";
