//! The same questions to authorization engines, in one run: first compared, then timed. One iteration asks the whole set.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use qsec_peers::decide::{
    Casbin, CasbinRules, Cedar, CedarList, Engine, EngineError, Lister, Qsec, Question, RegoInterpreter, RegoMachine,
    RuledTenant, Size, Tenant, answers, compare, lists,
};

/// A set of questions, and what we answer.
struct Set {
    name: String,
    questions: Vec<Question>,
    answers: Vec<bool>,
}

impl Set {
    fn new(name: String, questions: Vec<Question>, ours: Result<Qsec, EngineError>) -> Self {
        let answers = ours.and_then(|mut ours| answers(&mut ours, &questions));
        Self { name, questions, answers: answers.unwrap_or_else(|error| panic!("{error}")) }
    }
}

/// Ends the run if an engine cannot be filled, or answers one question of the set differently.
fn time<E: Engine>(criterion: &mut Criterion, set: &Set, engine: Result<E, EngineError>) {
    let mut engine = engine.unwrap_or_else(|error| panic!("{}: {error}", E::NAME));
    let allowed = compare(&mut engine, &set.questions, &set.answers).unwrap_or_else(|error| panic!("{error}"));
    let asked = set.questions.len();
    println!("{}: {} gives our {asked} answers, {allowed} of them allowed", set.name, E::NAME);
    assert!(allowed > asked / 16 && allowed < asked * 15 / 16, "answers that are all the same compare nothing");
    let mut group = criterion.benchmark_group(format!("decide-{}", set.name));
    group.throughput(Throughput::Elements(asked as u64));
    group.bench_function(BenchmarkId::from_parameter(E::NAME), |bencher| {
        bencher.iter(|| (0..asked).filter(|number| engine.allows(black_box(*number)).unwrap_or(false)).count());
    });
    group.finish();
}

/// Ends the run if an engine cannot be filled, or gives another list than we do.
fn time_lists<L: Lister>(criterion: &mut Criterion, expected: &[BTreeSet<String>], lister: Result<L, EngineError>) {
    let users = expected.len();
    let mut lister = lister.unwrap_or_else(|error| panic!("{}: {error}", L::NAME));
    let given = lists(&mut lister, users).unwrap_or_else(|error| panic!("{}: {error}", L::NAME));
    assert!(given == expected, "{} lists other apps than qsec", L::NAME);
    println!(
        "list: {} gives our {users} lists, of {:?} apps",
        L::NAME,
        given.iter().map(BTreeSet::len).collect::<Vec<_>>()
    );
    let mut group = criterion.benchmark_group("decide-list-large");
    group.throughput(Throughput::Elements(users as u64));
    group.bench_function(BenchmarkId::from_parameter(L::NAME), |bencher| {
        bencher.iter(|| (0..users).filter_map(|user| lister.list(black_box(user)).ok()).count());
    });
    group.finish();
}

fn roles(criterion: &mut Criterion) {
    for size in [Size::SMALL, Size::LARGE] {
        let tenant = Tenant::new(size);
        let questions = tenant.common_questions();
        let ours = Qsec::new(&tenant, &questions);
        let common = Set::new(format!("common-{}", size.name), questions, ours);
        time(criterion, &common, Qsec::new(&tenant, &common.questions));
        time(criterion, &common, Cedar::new(&tenant, &common.questions));
        time(criterion, &common, Casbin::new(&tenant, &common.questions));
        time(criterion, &common, RegoInterpreter::new(&tenant, &common.questions));
        time(criterion, &common, RegoMachine::new(&tenant, &common.questions));
        let questions = tenant.ceiling_questions();
        let ours = Qsec::new(&tenant, &questions);
        let ceiling = Set::new(format!("ceiling-{}", size.name), questions, ours);
        time(criterion, &ceiling, Qsec::new(&tenant, &ceiling.questions));
        time(criterion, &ceiling, Cedar::new(&tenant, &ceiling.questions));
    }
}

fn rules(criterion: &mut Criterion) {
    let questions = RuledTenant::questions();
    let ours = Qsec::ruled(&questions);
    let set = Set::new("rules57".to_owned(), questions, ours);
    time(criterion, &set, Qsec::ruled(&set.questions));
    time(criterion, &set, Cedar::ruled(&set.questions));
    time(criterion, &set, CasbinRules::new(&set.questions));
    time(criterion, &set, RegoInterpreter::ruled(&set.questions));
    time(criterion, &set, RegoMachine::ruled(&set.questions));
}

fn list(criterion: &mut Criterion) {
    let tenant = Tenant::new(Size::LARGE);
    let users = tenant.list_users();
    let ours = Qsec::listing(&tenant, &users).and_then(|mut ours| lists(&mut ours, users.len()));
    let expected = ours.unwrap_or_else(|error| panic!("{error}"));
    assert!(expected.iter().all(|list| !list.is_empty() && list.len() < 2_000), "lists of nothing or of everything");
    time_lists(criterion, &expected, Qsec::listing(&tenant, &users));
    time_lists(criterion, &expected, CedarList::new(&tenant, &users));
    time_lists(criterion, &expected, RegoInterpreter::listing(&tenant, &users));
    time_lists(criterion, &expected, RegoMachine::listing(&tenant, &users));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = roles, rules, list
}
criterion_main!(benches);
