//! Tables in Markdown on standard output, and the same as JSON where `PORTCULLIS_RESULTS` names a folder.

use serde_json::{Map, Value, json};

/// What stands in a place of a table, for people and for programs.
#[derive(Clone)]
pub struct Cell {
    text: String,
    value: Value,
}

impl Cell {
    pub fn new(text: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { text: text.into(), value: value.into() }
    }

    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { value: text.clone().into(), text }
    }

    pub fn number(number: f64, digits: usize) -> Self {
        Self::new(format!("{number:.digits$}"), number)
    }

    pub fn count(number: usize) -> Self {
        Self::new(number.to_string(), number)
    }

    pub fn none() -> Self {
        Self::new("", Value::Null)
    }

    /// Whether what was measured in this run is within the goal.
    pub fn at_most(goal: f64, measured: f64) -> Self {
        Self::goal("≤", goal, measured <= goal)
    }

    pub fn at_least(goal: f64, measured: f64) -> Self {
        Self::goal("≥", goal, measured >= goal)
    }

    fn goal(sign: &str, goal: f64, met: bool) -> Self {
        let text = format!("{sign} {goal}: {}", if met { "met" } else { "**missed**" });
        Self::new(text, json!({"goal": goal, "met": met}))
    }
}

/// The tables of one part of the benchmarks.
pub struct Report {
    name: &'static str,
    tables: Vec<Value>,
}

impl Report {
    pub fn new(name: &'static str) -> Self {
        Self { name, tables: Vec::new() }
    }

    /// Prints a table, and keeps it.
    pub fn table(&mut self, title: &str, columns: &[&str], rows: &[Vec<Cell>]) {
        println!("\n**{title}**\n\n| {} |", columns.join(" | "));
        println!(
            "|{}",
            columns
                .iter()
                .enumerate()
                .map(|(at, _)| if at == 0 { "---|" } else { "---:|" })
                .collect::<String>()
        );
        for row in rows {
            let texts: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
            println!("| {} |", texts.join(" | "));
        }
        let members = |row: &Vec<Cell>| {
            let pairs =
                columns.iter().zip(row).map(|(column, cell)| ((*column).to_owned(), cell.value.clone()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        let rows: Vec<Value> = rows.iter().map(members).collect();
        self.tables.push(json!({"title": title, "rows": rows}));
    }

    pub fn finish(self) {
        let Some(folder) = std::env::var_os("PORTCULLIS_RESULTS") else { return };
        std::fs::create_dir_all(&folder).expect("the folder of PORTCULLIS_RESULTS");
        let path = std::path::Path::new(&folder).join(format!("{}.json", self.name));
        let results = json!({"bench": self.name, "tables": self.tables});
        std::fs::write(path, format!("{results:#}\n")).expect("the results are written");
    }
}
