//! What all pages have in common: each is one file that needs nothing beside it to be read.

use minijinja::{AutoEscape, Environment, Value, context};

use crate::plots::{self, Plot};

/// Templates that pages extend and include. What is filled in is escaped, whatever it says.
const SHARED: [(&str, &str); 2] =
    [("base.html", include_str!("page/base.html")), ("plots.html", include_str!("page/plots.html"))];

/// Fills `template` in: with `values`, and with `plots`, all of whose fonts are one.
pub(crate) fn page(template: &str, values: Value, plots: &[Plot]) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, text) in SHARED {
        environment.add_template(name, text)?;
    }
    environment.add_template("page.html", template)?;
    let face = plots::face_css();
    let picture = |plot: &Plot| {
        let svg = plot.svg.replacen(&face, "", 1);
        context! { name => plot.name, how_to_read => plot.how_to_read, note => plot.note.as_deref(), svg }
    };
    let pictures: Vec<Value> = plots.iter().map(picture).collect();
    environment.get_template("page.html")?.render(context! { plots => pictures, face_css => face, ..values })
}
