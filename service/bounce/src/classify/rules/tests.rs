use super::*;

#[test]
fn the_rules_of_the_program_load() {
    let rules = Rules::load(&[]).unwrap_or_else(|err| panic!("{err}"));
    assert!(rules.all().len() > 250);
    assert_eq!(rules.version(), Rules::builtin().version());
    assert_eq!(rules.version().len(), 12);
}

#[test]
fn the_rules_of_the_program_have_no_defect() {
    let defects: Vec<String> = Rules::builtin().lint().iter().filter(|it| it.is_defect()).map(ToString::to_string).collect();
    assert_eq!(defects, Vec::<String>::new());
}
