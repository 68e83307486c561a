//! Pages: put together they are the whole list, in order, without repeats.

use crate::rig::{Rig, at, labels};
use proptest::prelude::*;
use sandgate_core::{
    Desired, ListQuery, Observed, Operation, Order, RepositoryError, Resources, Sandbox, SandboxRepository,
    SortKey, Stance,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;

const SORTS: [SortKey; 6] = [
    SortKey::Name,
    SortKey::Cpu,
    SortKey::Memory,
    SortKey::Disk,
    SortKey::LastActivityAt,
    SortKey::CreatedAt,
];
const ORDERS: [Order; 2] = [Order::Ascending, Order::Descending];

/// Every page after the other, as a client reads them.
async fn read_all(rig: &Rig, query: &ListQuery) -> Vec<Sandbox> {
    let mut query = query.clone();
    let mut all = Vec::new();
    loop {
        let page = rig.ledger.list(rig.organization, &query).await.expect("list");
        assert!(page.items.len() <= query.limit as usize, "a page is not longer than asked for");
        all.extend(page.items);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return all,
        }
    }
}

/// The same list, by the words of the port.
fn model(sandboxes: &[Sandbox], query: &ListQuery) -> Vec<Sandbox> {
    let mut fitting: Vec<_> = sandboxes.iter().filter(|s| fits(s, query)).cloned().collect();
    fitting.sort_by(|a, b| compare(a, b, query));
    fitting
}

fn fits(sandbox: &Sandbox, query: &ListQuery) -> bool {
    sandbox.is_visible()
        && sandbox.config.labels.contains_all(&query.labels)
        && query.name_prefix.as_ref().is_none_or(|prefix| sandbox.name.as_str().starts_with(prefix))
        && query.id_prefix.as_ref().is_none_or(|prefix| sandbox.id.to_string().starts_with(prefix))
        && (query.states.is_empty() || query.states.contains(&Stance::of(sandbox)))
}

fn compare(a: &Sandbox, b: &Sandbox, query: &ListQuery) -> Ordering {
    let by_key = match query.sort {
        SortKey::Name => a.name.cmp(&b.name),
        SortKey::Cpu => a.config.resources.cpu.cmp(&b.config.resources.cpu),
        SortKey::Memory => a.config.resources.memory_gib.cmp(&b.config.resources.memory_gib),
        SortKey::Disk => a.config.resources.disk_gib.cmp(&b.config.resources.disk_gib),
        SortKey::LastActivityAt => a.last_activity_at.cmp(&b.last_activity_at),
        SortKey::CreatedAt => a.created_at.cmp(&b.created_at),
    };
    let ascending = by_key.then_with(|| a.id.to_string().cmp(&b.id.to_string()));
    if query.order == Order::Ascending { ascending } else { ascending.reverse() }
}

/// What a generated sandbox is like. Few values, so that there are many ties.
#[derive(Debug, Clone)]
struct Seed {
    name: String,
    resources: (u32, u32, u32),
    times: (i64, i64),
    labels: (u8, u8),
    state: Stance,
}

/// Most of them rest.
fn stances() -> Vec<Stance> {
    use {Desired as D, Observed as O};
    let stance = |(desired, observed), parked| Stance { desired, observed, parked };
    let rest = [
        (D::Started, O::Started),
        (D::Started, O::Started),
        (D::Stopped, O::Stopped),
        (D::Stopped, O::Failed),
    ];
    let under_way = [(D::Started, O::Pending), (D::Deleted, O::Started), (D::Deleted, O::Failed)];
    let parked = under_way.into_iter().map(|pair| stance(pair, true));
    let others = rest.into_iter().chain(under_way).chain([(D::Deleted, O::Absent)]);
    others.map(|pair| stance(pair, false)).chain(parked).collect()
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let seed = (
        "[aAbß%_]{1,3}",
        (1_u32..3, 1_u32..3, 1_u32..3),
        (-3_i64..3, 0_i64..3),
        (0_u8..3, 0_u8..3),
        prop::sample::select(stances()),
    )
        .prop_map(|(name, resources, times, labels, state)| Seed {
            name,
            resources,
            times,
            labels,
            state,
        });
    prop::collection::vec(seed, 0..25)
}

fn queries() -> impl Strategy<Value = ListQuery> {
    let prefix = prop::option::weighted(0.3, "[aAbß%_]{1,2}");
    let label = prop::option::weighted(0.3, (0_u8..3, 0_u8..3));
    let states = prop::option::weighted(0.3, prop::collection::vec(prop::sample::select(stances()), 1..4));
    let key = (prop::sample::select(SORTS.to_vec()), prop::sample::select(ORDERS.to_vec()));
    (1_u32..8, key, prefix, label, states).prop_map(|(limit, (sort, order), name_prefix, label, states)| {
        let labels = label.map(|(key, value)| (key.to_string(), value.to_string()));
        let states = states.unwrap_or_default();
        let labels = labels.into_iter().collect();
        ListQuery { limit, sort, order, name_prefix, labels, states, ..ListQuery::default() }
    })
}

/// Writes a sandbox for each seed whose name is still free.
async fn plant(rig: &Rig, seeds: Vec<Seed>) -> Vec<Sandbox> {
    let mut planted = Vec::new();
    for seed in seeds {
        let mut sandbox = rig.sandbox(&seed.name);
        let (cpu, memory_gib, disk_gib) = seed.resources;
        sandbox.config.resources = Resources { cpu, memory_gib, disk_gib };
        (sandbox.created_at, sandbox.last_activity_at) = (at(seed.times.0), at(seed.times.1));
        sandbox.config.labels = labels([(&*seed.labels.0.to_string(), &*seed.labels.1.to_string())]);
        match rig.insert(&sandbox).await {
            Ok(()) => planted.push(rig.changed(&sandbox, |s| stand(s, seed.state)).await),
            Err(error) => assert!(matches!(error, RepositoryError::NameTaken), "{error:?}"),
        }
    }
    planted
}

fn stand(sandbox: &mut Sandbox, Stance { desired, observed, parked }: Stance) {
    (sandbox.desired, sandbox.observed) = (desired, observed);
    let begun = Operation::begun(sandbox.updated_at);
    sandbox.operation = parked.then_some(Operation { parked, ..begun });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn pages_together_are_the_list(seeds in seeds(), queries in prop::collection::vec(queries(), 12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(async {
            let rig = Rig::new().await;
            let planted = plant(&rig, seeds).await;
            for query in queries {
                prop_assert_eq!(read_all(&rig, &query).await, model(&planted, &query), "{:?}", query);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn every_order_gives_every_sandbox_once() {
    let rig = Rig::new().await;
    for n in 0..7 {
        rig.inserted(&format!("sandbox-{n}")).await;
    }
    for (sort, order) in SORTS.into_iter().flat_map(|sort| ORDERS.map(|order| (sort, order))) {
        let query = ListQuery { limit: 3, sort, order, ..ListQuery::default() };
        let all = read_all(&rig, &query).await;
        let expected = model(&rig.ledger.all_living().await.expect("living"), &query);
        assert_eq!((all.len(), &all), (7, &expected), "{sort:?} {order:?}");
    }
}

#[tokio::test]
async fn a_page_that_ends_the_list_says_so() {
    let rig = Rig::new().await;
    for n in 0..4 {
        rig.inserted(&format!("sandbox-{n}")).await;
    }
    for (limit, has_next) in [(3, true), (4, false), (5, false), (u32::MAX, false), (0, false)] {
        let page = rig.ledger.list(rig.organization, &ListQuery { limit, ..ListQuery::default() }).await;
        assert_eq!(page.expect("list").next.is_some(), has_next, "{limit}");
    }
}

#[tokio::test]
async fn a_cursor_fits_its_own_list_alone() {
    let rig = Rig::new().await;
    for n in 0..4 {
        rig.inserted(&format!("sandbox-{n}")).await;
    }
    let by_name = ListQuery { limit: 2, sort: SortKey::Name, ..ListQuery::default() };
    let page = rig.ledger.list(rig.organization, &by_name).await.expect("list");
    let cursor = page.next.expect("another page");
    let with =
        |cursor: &str, query: &ListQuery| ListQuery { cursor: Some(cursor.to_owned()), ..query.clone() };
    let refused = [
        with(&cursor, &ListQuery { sort: SortKey::CreatedAt, ..by_name.clone() }),
        with(&cursor, &ListQuery { order: Order::Ascending, ..by_name.clone() }),
        with("", &by_name),
        with("not a cursor", &by_name),
        with(&cursor[1..], &by_name),
        with("W10", &by_name),
    ];
    for query in refused {
        let outcome = rig.ledger.list(rig.organization, &query).await;
        assert!(matches!(outcome, Err(RepositoryError::BadCursor)), "{query:?}: {outcome:?}");
    }
    assert_eq!(
        rig.ledger.list(rig.organization, &with(&cursor, &by_name)).await.expect("list").items.len(),
        2
    );
}

#[tokio::test]
async fn labels_are_found_as_they_are_now() {
    let rig = Rig::new().await;
    let mut sandbox = rig.sandbox("one");
    sandbox.config.labels = labels([("team", "red"), ("tier", "a'b\"c\\")]);
    rig.insert(&sandbox).await.expect("insert");
    let listed = async |wanted: &[(&str, &str)]| {
        let labels: BTreeMap<_, _> = wanted.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let query = ListQuery { labels, ..ListQuery::default() };
        rig.ledger.list(rig.organization, &query).await.expect("list").items.len()
    };
    assert_eq!(listed(&[("team", "red"), ("tier", "a'b\"c\\")]).await, 1);
    assert_eq!(listed(&[("team", "red"), ("tier", "b")]).await, 0);
    let changed = rig.changed(&sandbox, |s| s.config.labels = labels([("team", "blue")])).await;
    assert_eq!((listed(&[("team", "red")]).await, listed(&[("team", "blue")]).await), (0, 1));
    rig.deleted(&changed).await;
    assert_eq!(listed(&[("team", "blue")]).await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM label"), 0, "nothing is kept of what is gone");
}

#[tokio::test]
async fn an_id_prefix_is_read_in_either_case() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    let id = sandbox.id.to_string();
    for (id_prefix, found) in [(&id[..8], 1), (&id.to_uppercase()[..], 1), ("", 1), ("zz", 0)] {
        let query = ListQuery { id_prefix: Some(id_prefix.to_owned()), ..ListQuery::default() };
        let page = rig.ledger.list(rig.organization, &query).await.expect("list");
        assert_eq!(page.items.len(), found, "{id_prefix}");
    }
}

#[tokio::test]
async fn a_list_is_one_organizations_alone() {
    let (rig, other) = (Rig::new().await, Rig::new().await);
    rig.inserted("one").await;
    let page = rig.ledger.list(other.organization, &ListQuery::default()).await.expect("list");
    assert_eq!((page.items, page.next), (vec![], None));
}

/// A use between two pages must not end the reading, nor hide what was not used.
#[tokio::test]
async fn a_use_between_two_pages_hides_nobody_else() {
    let rig = Rig::new().await;
    for n in 0..6 {
        let mut sandbox = rig.sandbox(&format!("sandbox-{n}"));
        sandbox.last_activity_at = at(n);
        rig.insert(&sandbox).await.expect("insert");
    }
    let query = ListQuery { limit: 3, ..ListQuery::default() };
    let first = rig.ledger.list(rig.organization, &query).await.expect("list");
    rig.ledger.touch(first.items[0].id, at(100)).await.expect("touch");
    let query = ListQuery { cursor: first.next, ..query };
    let second = rig.ledger.list(rig.organization, &query).await.expect("list");
    let names: Vec<_> = first.items.iter().chain(&second.items).map(|s| s.name.to_string()).collect();
    assert_eq!(names, ["sandbox-5", "sandbox-4", "sandbox-3", "sandbox-2", "sandbox-1", "sandbox-0"]);
}
