use super::*;

#[test]
fn the_rules_of_the_program_load() {
    let rules = Rules::load(&[]).unwrap_or_else(|err| panic!("{err}"));
    assert!(rules.all().len() > 250);
    assert_eq!(rules.version(), Rules::builtin().version());
    assert_eq!(rules.version().len(), 12);
}
