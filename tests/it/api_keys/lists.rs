//! Lists of keys, page by page.

use portcullis::api_key::{ApiKeyCursor, ApiKeyPage};
use portcullis::{ApiKeyQuery, ApiKeyRecord, NewApiKey};

use super::scene::{Scene, millis};

/// 25 keys, five to a millisecond; every fifth is Bob's.
async fn many() -> (Scene, Vec<ApiKeyRecord>) {
    let (scene, mut records) = (Scene::new(), Vec::new());
    for number in 0..25 {
        let owner = if number % 5 == 0 { "bob" } else { "ann" };
        records.push(scene.keys.issue(NewApiKey::new(format!("{number}"), owner)).await.unwrap().record);
        if number % 5 == 4 {
            scene.clock.advance(millis(1));
        }
    }
    records.sort_by(|one, two| (two.created_at, &two.id).cmp(&(one.created_at, &one.id)));
    (scene, records)
}

/// Turns the pages until there is no next one; cursors travel as text.
async fn turn(scene: &Scene, query: ApiKeyQuery) -> Vec<ApiKeyPage> {
    let (mut pages, mut next) = (Vec::new(), Some(query.clone()));
    while let Some(of) = next {
        let page = scene.keys.list(&of).await.unwrap();
        next = page.next.as_ref().map(|cursor| {
            let text = cursor.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'), "{text}");
            query.clone().after(text.parse().unwrap())
        });
        pages.push(page);
        assert!(pages.len() < 100);
    }
    pages
}

fn records(pages: &[ApiKeyPage]) -> Vec<ApiKeyRecord> {
    pages.iter().flat_map(|page| page.records.clone()).collect()
}

#[tokio::test]
async fn all_pages_together_are_the_list_in_its_order_each_key_once() {
    let (scene, all) = many().await;
    for limit in [1, 2, 5, 7, 24, 25, 26, 1000] {
        let pages = turn(&scene, ApiKeyQuery::new().limit(limit)).await;
        assert_eq!(records(&pages), all, "{limit}");
        assert!(pages.iter().all(|page| page.records.len() <= limit as usize));
    }
    assert_eq!(records(&turn(&scene, ApiKeyQuery::new()).await), all);
}

#[tokio::test]
async fn the_keys_of_one_owner_are_those_and_no_others() {
    let (scene, all) = many().await;
    for owner in ["ann", "bob", "ANN", "an", ""] {
        let of_owner: Vec<_> = all.iter().filter(|record| record.owner == owner).cloned().collect();
        for limit in [1, 4, 100] {
            let pages = turn(&scene, ApiKeyQuery::new().owner(owner).limit(limit)).await;
            assert_eq!(records(&pages), of_owner, "{owner} {limit}");
        }
    }
}

#[tokio::test]
async fn keys_that_are_issued_meanwhile_shift_no_page() {
    let (scene, all) = many().await;
    let query = ApiKeyQuery::new().limit(10);
    let first = scene.keys.list(&query).await.unwrap();
    scene.issue().await;
    let rest = turn(&scene, query.after(first.next.clone().unwrap())).await;
    assert_eq!([first.records, records(&rest)].concat(), all);
}

#[tokio::test]
async fn a_page_holds_one_record_to_a_thousand() {
    let (scene, _) = many().await;
    for (asked, got) in [(0, 1), (1, 1), (25, 25), (u32::MAX, 25)] {
        let query = ApiKeyQuery::new().limit(asked);
        assert!((1..=1000).contains(&query.limit.get()));
        assert_eq!(scene.keys.list(&query).await.unwrap().records.len(), got, "{asked}");
    }
}

#[test]
fn only_a_cursor_is_read_as_one() {
    for text in ["", ".", "x", "1", "x.id", "-1.id", "99999999999999999999999.id", "18446744073709551616.id"]
    {
        assert!(text.parse::<ApiKeyCursor>().is_err(), "{text}");
    }
    let cursor: ApiKeyCursor = "1800000000123.0123456789ab".parse().unwrap();
    assert_eq!(cursor.to_string(), "1800000000123.0123456789ab");
    assert_eq!(cursor.created_at, super::scene::at(millis(123)));
}
