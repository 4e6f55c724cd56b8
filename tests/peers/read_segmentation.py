"""Reads a DICOM Segmentation with highdicom and prints, for each segment: label, pixels, first source instance."""

import sys

import highdicom as hd

segmentation = hd.seg.segread(sys.argv[1])
sources = {str(uid): n for n, (_, _, uid) in enumerate(segmentation.get_source_image_uids())}
for number in segmentation.segment_numbers:
    label = segmentation.get_segment_description(number).segment_label
    uids = list(sources)
    pixels = segmentation.get_pixels_by_source_instance(
        source_sop_instance_uids=uids, segment_numbers=[number], assert_missing_frames_are_empty=True
    )
    used = [uid for uid, plane in zip(uids, pixels) if plane.any()]
    positions = {}
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        uid = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        positions[uid] = frame.FrameContentSequence[0].DimensionIndexValues[1]
    first = min(used, key=lambda uid: positions[uid])
    print(label, int(pixels.sum()), first)
