//! kup-play beside ansible-playbook: each case of `conformance/cases` is run and
//! compared with what Ansible printed (`conformance/expected`, made by
//! `conformance/record`).

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

#[path = "conformance/case.rs"]
mod case;
#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/events.rs"]
mod events;
#[path = "conformance/lists.rs"]
mod lists;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (differences, pending) = (lists::read("differences.yml"), lists::read("pending.yml"));
    let mut trials: Vec<_> = case::names()
        .into_iter()
        .map(|name| {
            let standing = lists::standing(&name, &differences, &pending);
            Trial::test(name.clone(), move || Ok(standing.judge(case::run(&name))?))
        })
        .collect();
    let listed = differences.clone();
    trials.push(Trial::test("lists_name_cases_that_exist", move || {
        Ok(lists::all_exist(&[&differences, &pending], &case::names())?)
    }));
    trials.push(Trial::test("the_page_on_compatibility_tells_every_difference", move || {
        Ok(lists::all_told(&listed)?)
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}
