from aot import sample

from simclr_jax.aot import hlo


def test_parses_a_program():
    module = hlo.parse(sample.TEXT)
    assert module.entry == "main"
    assert set(module.computations) == {"add", "fused", "condition", "body", "main"}
    loop = module.computations["main"]["loop"]
    assert (loop.opcode, loop.operands) == ("while", ("before",))
    assert [one.dims for one in loop.buffers] == [(), (8, 128, 128), (128, 128)]
    assert loop.called == ("body",)
    reduced = module.computations["main"]["reduced"]
    assert [one.dims for one in reduced.buffers] == [(64,), ()]
    assert reduced.operands == ("start", "zero")
    assert module.computations["main"]["a"].opcode == "parameter"


def test_reads_loop_iterations_from_the_condition():
    module = hlo.parse(sample.TEXT)
    assert module.loops() == [("jit(train_step)/while", 5)]
    times = {visit.instruction.name: visit.times for visit in module.visits()}
    assert times["loop"] == times["features"] == 1
    assert times["permuted"] == times["product"] == 5
    assert "more" not in times and "sum" not in times
    fused = {v.instruction.name for v in module.visits() if v.is_fused}
    assert fused == {"one", "i", "zero", "slice", "row", "product"}


def test_uses_known_trip_counts_and_reports_unknown_ones():
    known = sample.TEXT.replace(
        "body=%body,", 'body=%body, backend_config={"known_trip_count":{"n":"7"}},'
    )
    assert hlo.parse(known).loops() == [("jit(train_step)/while", 7)]
    unknown = sample.TEXT.replace("direction=LT", "direction=NE")
    module = hlo.parse(unknown)
    assert module.loops() == [("jit(train_step)/while", None)]
    assert {visit.times for visit in module.visits()} == {1}


def test_parses_size_and_memory_space_of_buffers():
    (image,) = hlo.parse(sample.TEXT).computations["main"]["image"].buffers
    assert image == hlo.Buffer("bf16", (2, 8, 8, 3), (3, 2, 1, 0), (8, 128), 0)
    assert image.num_bytes == 2 * 8 * 8 * 3 * 2
    assert image.padded_bytes == 2 * 8 * 8 * 128 * 2
    (kernel,) = hlo.parse(sample.TEXT).computations["main"]["kernel"].buffers
    assert kernel.space == 1
    assert hlo.Buffer("pred", (5,)).num_bytes == 5
    assert hlo.Buffer("u32", ()).padded_bytes == 4


def test_resolves_stack_frames():
    module = hlo.parse(sample.TEXT)
    gather = module.computations["main"]["gather-start"]
    assert module.frames_of(gather) == (
        "/home/me/simclr_jax/losses/log_sum_exp.py:_gather",
        "/home/me/run.py:<module>",
    )
    assert module.frames_of(module.computations["main"]["loop"]) == ()


def test_counts_all_branches_of_a_conditional():
    text = """
%one (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %r1 = f32[4]{0} negate(%p)
}

%two (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %r2 = f32[4]{0} copy(%p)
}

ENTRY %main (i: s32[], x: f32[4]) -> f32[4] {
  %i = s32[] parameter(0)
  %x = f32[4]{0} parameter(1)
  ROOT %c = f32[4]{0} conditional(%i, %x, %x), branch_computations={%one, %two}
}
"""
    names = [visit.instruction.name for visit in hlo.parse(text).visits()]
    assert "r1" in names and "r2" in names
