"""What `process.exec` promises: the output, the exit code, the folder, the environment, the time limit."""

import time

import pytest
from daytona import DaytonaBadRequestError, DaytonaProcessExecutionTimeoutError


def test_output_and_exit_code(sandbox):
    answer = sandbox.process.exec("echo hello")
    assert (answer.exit_code, answer.result) == (0, "hello\n")


@pytest.mark.parametrize("code", [1, 42, 255])
def test_exit_codes_are_the_commands_own(sandbox, code):
    assert sandbox.process.exec(f"exit {code}").exit_code == code


def test_a_killed_shell_has_no_exit_code_of_its_own(sandbox):
    assert sandbox.process.exec("kill -KILL $$").exit_code == -1


def test_errors_are_part_of_the_output_in_their_order(sandbox):
    answer = sandbox.process.exec("echo one; echo two >&2; echo three; exit 3")
    assert (answer.exit_code, answer.result) == (3, "one\ntwo\nthree\n")


def test_the_folder_of_a_command(sandbox):
    assert sandbox.process.exec("pwd", cwd="/tmp").result == "/tmp\n"
    assert sandbox.process.exec("pwd").result == "/home/daytona\n"
    absent = sandbox.process.exec("pwd", cwd="/no/such/folder")
    assert absent.exit_code == -1
    assert "no such file" in absent.result.lower()


def test_the_environment_of_one_command(sandbox):
    assert sandbox.process.exec("echo $COLOUR", env={"COLOUR": "dark 'blue' $x"}).result == "dark 'blue' $x\n"
    assert sandbox.process.exec("echo ${COLOUR:-none}").result == "none\n"
    with pytest.raises(DaytonaBadRequestError):
        sandbox.process.exec("true", env={"1BAD": "x"})


def test_a_command_of_many_lines_and_quotes(sandbox):
    script = "for n in 1 2 3\ndo\n  echo \"line $n\"\ndone\ncat <<'END'\n$literal\nEND\n"
    assert sandbox.process.exec(script).result == "line 1\nline 2\nline 3\n$literal\n"


def test_a_command_that_reads_its_input_finds_none(sandbox):
    assert sandbox.process.exec("cat; echo done").result == "done\n"


def test_a_command_longer_than_an_argument_may_be(sandbox):
    text = "x" * (3 * 1024 * 1024)
    assert sandbox.process.exec(f"printf %s '{text}' | wc -c").result.strip() == str(len(text))


def test_a_time_limit_ends_the_command_and_its_children(sandbox):
    start = time.monotonic()
    with pytest.raises(DaytonaProcessExecutionTimeoutError, match="timeout"):
        sandbox.process.exec("sleep 4321 & sleep 4321", timeout=1)
    assert time.monotonic() - start < 5
    assert sandbox.process.exec("pgrep -fx 'sleep 4321'").exit_code == 1


def test_five_megabytes_of_output_arrive_whole(sandbox):
    line = "0123456789abcde"
    answer = sandbox.process.exec(f"yes {line} | head -c 5242880")
    assert answer.exit_code == 0
    assert answer.result == (line + "\n") * (5242880 // 16)


def test_letters_of_several_bytes_survive_the_edges_of_buffers(sandbox):
    text = "añ€😀" * 50_000
    program = "import sys; sys.stdout.write('a\\u00f1\\u20ac\\U0001F600' * 50_000)"
    assert sandbox.process.exec(f'python3 -c "{program}"').result == text
    slow = "printf '\\360\\237'; sleep 0.2; printf '\\230\\200'"
    assert sandbox.process.exec(slow).result == "😀"


def test_bytes_that_are_no_text_are_marked(sandbox):
    assert sandbox.process.exec("printf 'a\\377b'").result == "a\ufffdb"


def test_a_command_in_the_background_goes_on(sandbox):
    sandbox.process.exec("(sleep 0.3; echo late > late.txt) >/dev/null 2>&1 &")
    wait = "for n in $(seq 100); do test -s late.txt && break; sleep 0.05; done; cat late.txt"
    assert sandbox.process.exec(wait).result == "late\n"


def test_python_is_there_by_both_names(sandbox):
    assert sandbox.process.exec("python -c 'print(6 * 7)'; python3 -c 'print(6 * 7)'").result == "42\n42\n"
