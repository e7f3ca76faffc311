//! Every input that a fuzzer kept, through the same checks, without a fuzzer.

use std::path::Path;

#[test]
fn every_input_of_the_corpus_keeps_every_promise() {
    let corpus = Path::new("corpus");
    for (name, check) in guildhall_fuzz::TARGETS {
        let inputs: Vec<_> = std::fs::read_dir(corpus.join(name)).expect("a folder for each target").collect();
        assert!(inputs.len() >= 5, "the corpus of {name} was lost");
        for input in inputs {
            let path = input.expect("a readable folder").path();
            let bytes = std::fs::read(&path).expect("a readable input");
            check(&bytes);
        }
    }
}
