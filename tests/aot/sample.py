# ruff: noqa: E501
"""A program as XLA prints them, short enough to count by hand."""

TEXT = """HloModule jit_train_step, is_scheduled=true, num_partitions=8

FileNames
1 "/home/me/run.py"
2 "/home/me/simclr_jax/losses/log_sum_exp.py"

FunctionNames
1 "<module>"
2 "_gather"

FileLocations
1 {file_name_id=1 function_name_id=1 line=3 end_line=3 column=4 end_column=5}
2 {file_name_id=2 function_name_id=2 line=9 end_line=9 column=4 end_column=5}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[]{:T(128)} parameter(0)
  %y = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%x, %y)
}

%fused (one: f32[8,128,128], i: s32[]) -> f32[128,128] {
  %one = f32[8,128,128]{2,1,0:T(8,128)} parameter(0)
  %i = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  %slice = f32[1,128,128]{2,1,0:T(8,128)} dynamic-slice(%one, %i, %zero, %zero), dynamic_slice_sizes={1,128,128}
  %row = f32[128,128]{1,0:T(8,128)} bitcast(%slice)
  ROOT %product = f32[128,128]{1,0:T(8,128)} dot(%row, %row), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%condition (p: (s32[], f32[8,128,128], f32[128,128])) -> pred[] {
  %limit = s32[]{:T(128)} constant(5)
  %p = (s32[]{:T(128)}, f32[8,128,128]{2,1,0:T(8,128)}, f32[128,128]{1,0:T(8,128)S(1)}) parameter(0)
  %now = s32[]{:T(128)} get-tuple-element(%p), index=0
  ROOT %more = pred[]{:T(512)} compare(%now, %limit), direction=LT
}

%body (q: (s32[], f32[8,128,128], f32[128,128])) -> (s32[], f32[8,128,128], f32[128,128]) {
  %q = (s32[]{:T(128)}, f32[8,128,128]{2,1,0:T(8,128)}, f32[128,128]{1,0:T(8,128)S(1)}) parameter(0)
  %step = s32[]{:T(128)S(6)} get-tuple-element(%q), index=0
  %all = f32[8,128,128]{2,1,0:T(8,128)} get-tuple-element(%q), index=1
  %fusion = f32[128,128]{1,0:T(8,128)S(1)} fusion(%all, %step), kind=kOutput, calls=%fused
  %permuted = f32[128,128]{1,0:T(8,128)S(1)} collective-permute(%fusion), channel_id=3, source_target_pairs={{0,1},{1,0}}
  ROOT %next = (s32[]{:T(128)}, f32[8,128,128]{2,1,0:T(8,128)}, f32[128,128]{1,0:T(8,128)S(1)}) tuple(%step, %all, %permuted)
}

ENTRY %main (a: f32[8,128,128], image: bf16[2,8,8,3], kernel: bf16[3,3,3,4]) -> f32[] {
  %a = f32[8,128,128]{2,1,0:T(8,128)} parameter(0), metadata={op_name="batch[\\'image\\'].(x)"}
  %image = bf16[2,8,8,3]{3,2,1,0:T(8,128)(2,1)} parameter(1)
  %kernel = bf16[3,3,3,4]{3,2,1,0:T(4,128)(2,1)S(1)} parameter(2)
  %zero = s32[]{:T(128)} constant(0)
  %start = f32[128,128]{1,0:T(8,128)S(1)} broadcast(%zero), dimensions={}
  %before = (s32[]{:T(128)}, f32[8,128,128]{2,1,0:T(8,128)}, f32[128,128]{1,0:T(8,128)S(1)}) tuple(%zero, %a, %start)
  %loop = (s32[]{:T(128)}, f32[8,128,128]{2,1,0:T(8,128)}, f32[128,128]{1,0:T(8,128)S(1)}) while(%before), condition=%condition, body=%body, metadata={op_name="jit(train_step)/while"}
  %features = bf16[2,8,8,4]{3,2,1,0:T(8,128)(2,1)S(1)} convolution(%image, %kernel), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f
  %reduced = (f32[64]{0:T(128)S(1)}, /*index=1*/f32[]{:T(128)S(1)}) all-reduce(%start, %zero), channel_id=4, replica_groups=mesh['axis_0'=8] {'axis_0'}, to_apply=%add, metadata={op_name="jit(train_step)/transpose(jvp())/reduce_sum"}
  %small = f32[16,128]{1,0:T(8,128)S(1)} copy(%start)
  %gather-start = (f32[16,128]{1,0:T(8,128)S(1)}, f32[128,128]{1,0:T(8,128)}) all-gather-start(%small), channel_id=5, replica_groups=[1,8]<=[8], dimensions={0}, metadata={op_name="jit(train_step)/jvp()/shard_map/all_gather" stack_frame_id=2}
  %gather-done = f32[128,128]{1,0:T(8,128)} all-gather-done(%gather-start)
  %copy-start = (f32[8,128,128]{2,1,0:T(8,128)S(1)}, f32[8,128,128]{2,1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%a)
  %copy-done = f32[8,128,128]{2,1,0:T(8,128)S(1)} copy-done(%copy-start)
  ROOT %out = f32[]{:T(128)} get-tuple-element(%reduced), index=1
}
"""
