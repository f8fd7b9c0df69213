//! The built-in tools, and the name that they keep for themselves.

use super::super::raw::RawConfig;
use super::Reader;
use crate::builtin::{Builtin, SERVER, UnknownBuiltin};

impl Reader<'_> {
    pub(super) fn builtin_tools(&mut self, raw: &RawConfig) -> Option<Vec<Builtin>> {
        let message = format!("{SERVER} is the name of the built-in tools: choose another");
        if raw.servers.contains_key(SERVER) {
            self.refuse(&format!("servers.{SERVER}"), message.as_str());
        }
        if raw.virtual_servers.contains_key(SERVER) {
            self.refuse(&format!("virtual.{SERVER}"), message);
        }
        let names = raw.builtin_tools.0.as_ref()?;
        let mut offered: Vec<Builtin> = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let parsed: Result<Builtin, UnknownBuiltin> = name.parse();
            match parsed {
                Ok(builtin) if offered.contains(&builtin) => {
                    self.refuse(&format!("builtin_tools[{index}]"), format!("{name} is named twice"));
                }
                Ok(builtin) => offered.push(builtin),
                Err(error) => self.refuse(&format!("builtin_tools[{index}]"), error.to_string()),
            }
        }
        if names.is_empty() {
            self.refuse("builtin_tools", "names no tool: write true for all of them, or leave it out");
        }
        Some(offered)
    }
}
