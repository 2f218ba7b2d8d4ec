//! API keys: issued, listed and ended from the command line.

use std::error::Error;
use std::time::SystemTime;

use portcullis::{
    ApiKeyQuery, ApiKeyRecord, ApiKeys, Clock as _, NewApiKey, ScopeSet, SqlStore, SystemClock,
};

use crate::options::Keys;

/// What keys begin with: your own name, and which of your environments they are for.
const PREFIX: &str = "todo_live";

pub async fn open(url: &str) -> Result<ApiKeys, Box<dyn Error>> {
    Ok(ApiKeys::builder(PREFIX, SqlStore::connect(url).await?).build()?)
}

/// Does what the command line says. Keys go to the standard output, and nothing else does beside them.
pub async fn run(keys: &ApiKeys, command: Keys) -> Result<(), Box<dyn Error>> {
    match command {
        Keys::Create { label, scopes, owner, plan, expires } => {
            let owner = owner.unwrap_or_else(|| label.clone());
            let mut new = NewApiKey::new(label, owner).scopes(ScopeSet::parse(&scopes)?);
            if let Some(plan) = plan {
                new = new.plan(plan);
            }
            if let Some(expires) = expires {
                new = new.expires_in(expires);
            }
            let issued = keys.issue(new).await?;
            println!("{}", issued.key.expose());
            eprintln!("{} is its id; the key itself cannot be shown again", issued.record.id);
        }
        Keys::List { owner } => {
            let mut query = ApiKeyQuery::new();
            query.owner = owner;
            println!(
                "ID            KEY                 STATE          CREATED               LAST USED             LABEL"
            );
            loop {
                let page = keys.list(&query).await?;
                page.records.iter().for_each(print_line);
                match page.next {
                    Some(next) => query = query.after(next),
                    None => break,
                }
            }
        }
        Keys::Revoke { id } => print_state(&keys.revoke(&id).await?),
        Keys::Disable { id } => print_state(&keys.disable(&id).await?),
        Keys::Enable { id } => print_state(&keys.enable(&id).await?),
        Keys::Rotate { id, grace } => {
            let issued = keys.rotate(&id, grace).await?;
            println!("{}", issued.key.expose());
            let grace = humantime::format_duration(grace);
            eprintln!("{} takes the place of {id}, which is good for {grace} yet", issued.record.id);
        }
    }
    Ok(())
}

fn print_line(record: &ApiKeyRecord) {
    let time = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
    let ApiKeyRecord { id, hint, label, owner, scopes, .. } = record;
    let state = record.state(SystemClock.now()).to_string();
    let (created, used) =
        (time(record.created_at), record.last_used_at.map_or_else(|| "never".to_owned(), time));
    println!("{id:12}  {hint:18}  {state:13}  {created:20}  {used:20}  {label} (of {owner}): {scopes}");
}

fn print_state(record: &ApiKeyRecord) {
    println!("{} is {}", record.id, record.state(SystemClock.now()));
}
