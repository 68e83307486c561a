//! A filter program as a binary search over ranges of call numbers. The kernel runs it for each number once when it
//! is installed, so its depth is what a start of a sandbox pays: a list costs ten times as much as this tree.

use libc::sock_filter as Instruction;

const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// A part of a program, relocatable: it is entered at its start and left by returning.
pub(super) type Code = Vec<Instruction>;

/// Loads a word of the call's description.
pub(super) fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD_WORD, jt: 0, jf: 0, k: offset }
}

/// Ends the filter with an action.
pub(super) fn ret(action: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k: action }
}

/// Goes on with the next instruction if the loaded word equals `value`, else leaves it out.
pub(super) fn next_if_equal(value: u32) -> Instruction {
    Instruction { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: value }
}

/// Goes on with the next instruction if the loaded word differs from `value`, else leaves it out.
pub(super) fn next_unless_equal(value: u32) -> Instruction {
    Instruction { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: value }
}

/// Goes on with the next instruction if the loaded word is at least `value`, else leaves it out.
pub(super) fn next_if_at_least(value: u32) -> Instruction {
    Instruction { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: value }
}

/// Goes on with the next instruction if the loaded word has any of these bits, else leaves it out.
pub(super) fn next_if_any_bit(bits: u32) -> Instruction {
    Instruction { code: JUMP_IF_ANY_BIT, jt: 0, jf: 1, k: bits }
}

/// The code that searches for the loaded word among `ranges`: each begins at its number and ends before the next.
pub(super) fn search(ranges: &[(u32, Code)]) -> Code {
    let [(_, only)] = ranges else {
        let (below, above) = ranges.split_at(ranges.len() / 2);
        return branch(above[0].0, search(below), search(above));
    };
    only.clone()
}

/// Runs `above` if the loaded word is at least `limit`, else `below`.
fn branch(limit: u32, below: Code, above: Code) -> Code {
    let mut code = Code::with_capacity(below.len() + above.len() + 2);
    // A conditional jump reaches 255 instructions far, an unconditional one any distance.
    if let Ok(distance) = u8::try_from(below.len()) {
        code.push(Instruction { code: JUMP_IF_AT_LEAST, jt: distance, jf: 0, k: limit });
    } else {
        let distance = u32::try_from(below.len()).expect("a filter has a few hundred instructions");
        code.push(next_if_at_least(limit));
        code.push(Instruction { code: JUMP, jt: 0, jf: 0, k: distance });
    }
    code.extend(below);
    code.extend(above);
    code
}

/// Runs a program as the kernel would, over the words of a call's description, and counts its steps.
#[cfg(test)]
pub(super) fn evaluate(program: &[Instruction], data: &[u32; 16]) -> (u32, usize) {
    let (mut word, mut at, mut steps) = (0, 0, 0);
    loop {
        let instruction = program[at];
        steps += 1;
        at += 1;
        let taken = match instruction.code {
            LOAD_WORD => {
                word = data[instruction.k as usize / 4];
                continue;
            }
            RETURN => return (instruction.k, steps),
            JUMP => {
                at += instruction.k as usize;
                continue;
            }
            JUMP_IF_EQUAL => word == instruction.k,
            JUMP_IF_AT_LEAST => word >= instruction.k,
            JUMP_IF_ANY_BIT => word & instruction.k != 0,
            other => panic!("unknown instruction {other:#x}"),
        };
        at += usize::from(if taken { instruction.jt } else { instruction.jf });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_finds_its_range_even_over_long_jumps() {
        // Each leaf has 20 instructions, so that the upper levels need long jumps.
        let leaf = |number: u32| [vec![load(0); 19], vec![ret(number)]].concat();
        let ranges: Vec<(u32, Code)> = (0..50).map(|n| (n * 3, leaf(n))).collect();
        let program = [vec![load(0)], search(&ranges)].concat();
        for number in 0..150 {
            let mut data = [0; 16];
            data[0] = number;
            assert_eq!(evaluate(&program, &data).0, number / 3, "number {number}");
        }
    }
}
