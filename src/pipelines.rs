//! `tessera pipelines`: the media graph as it would be run, for people.

use std::fmt::Write as _;

use clap::Subcommand;

use crate::media::{MediaError, TemplateError, Templates};

/// What is asked for.
#[derive(Debug, Subcommand)]
pub enum PipelinesAction {
    /// Name every pipeline and its values.
    List,
    /// Print a pipeline as it would be run.
    Print {
        name: String,
        #[arg(value_name = "KEY=VALUE", value_parser = pair)]
        values: Vec<(String, String)>,
    },
    /// Parse every pipeline and find every element that it needs.
    Check,
}

/// Why there is nothing to show, or something is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum PipelinesError {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// All that the check found, a line each.
    #[error("{0}")]
    Broken(String),
}

/// Carries the action out; the text is what to print.
pub fn run(action: PipelinesAction, templates: &Templates) -> Result<String, PipelinesError> {
    match action {
        PipelinesAction::List => {
            let mut list = String::new();
            for name in templates.names() {
                let keys = templates.get(name)?.keys().join(" ");
                // Writing to a String cannot fail.
                let _ = writeln!(list, "{}", format!("{name:<20} {keys}").trim_end());
            }
            Ok(list)
        }
        PipelinesAction::Print { name, values } => {
            let values: Vec<(&str, String)> = values.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            Ok(format!("{}\n", templates.get(&name)?.render(&values)?))
        }
        PipelinesAction::Check => {
            crate::media::init()?;
            templates.check().map_err(PipelinesError::Broken)?;
            Ok(format!("{} pipelines are whole\n", templates.names().count()))
        }
    }
}

/// A `key=value` argument.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("this is not of the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_a_line_for_each_and_no_blanks_behind() {
        let templates = Templates::load(None).unwrap();
        let list = run(PipelinesAction::List, &templates).unwrap();
        let mut lines = list.lines().zip(templates.names());
        assert!(lines.all(|(line, name)| line.starts_with(name) && line.trim_end() == line), "{list}");
    }
}
