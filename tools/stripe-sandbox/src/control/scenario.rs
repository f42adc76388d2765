//! The scenario file: faults that a new world begins with.

use std::path::Path;

use anyhow::Context;

use super::faults::Faults;
use crate::app::{App, cause};

/// Takes up the faults in `file`, unless the world has a history already.
pub(crate) fn begin(app: &App, file: &Path) -> anyhow::Result<()> {
    let told = || format!("scenario {}", file.display());
    let text = std::fs::read_to_string(file).with_context(told)?;
    let faults: Faults = serde_json::from_str(&text).with_context(told)?;
    faults.check().map_err(anyhow::Error::msg).with_context(told)?;
    if app.world().is_new() {
        let set = app.change("", cause("scenario"), |world| {
            world.change.faults = Some(faults);
            Ok(())
        });
        set.map_err(|_| anyhow::anyhow!("the journal cannot be written"))?;
    }
    Ok(())
}
