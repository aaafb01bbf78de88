"""Small real bags, written with rosbags."""

import sqlite3
import struct
from contextlib import closing

import cv2
import numpy as np
import yaml
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Rosbag2Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

MS = 1_000_000
START_NS = 1_700_000_000 * 1_000_000_000
CAMERA_FRAME, BASE_FRAME = "cam_optical", "base_link"

STORE = get_typestore(Stores.ROS2_HUMBLE)
ROS1 = get_typestore(Stores.ROS1_NOETIC)
ROS1.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage"))
_T = STORE.types


def header(at_ns, frame_id=CAMERA_FRAME):
    sec, nanosec = divmod(START_NS + at_ns, 10**9)
    stamp = _T["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
    return _T["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def image_message(pixels, at_ns, encoding="rgb8"):
    return _T["sensor_msgs/msg/Image"](
        header=header(at_ns),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels[0].nbytes,
        data=np.ascontiguousarray(pixels).view(np.uint8).ravel(),
    )


def depth_image(units, at_ns):
    return image_message(units, at_ns, "16UC1")


def compressed(pixels, at_ns, suffix=".jpg"):
    content = cv2.imencode(suffix, np.ascontiguousarray(pixels[:, :, ::-1]))[1].ravel()
    image_format = "rgb8; jpeg compressed bgr8" if suffix == ".jpg" else "rgb8; png compressed bgr8"
    return _T["sensor_msgs/msg/CompressedImage"](header=header(at_ns), format=image_format, data=content)


def compressed_depth(units, at_ns):
    content = struct.pack("<iff", 0, 0, 0) + cv2.imencode(".png", units)[1].tobytes()
    return _T["sensor_msgs/msg/CompressedImage"](
        header=header(at_ns), format="16UC1; compressedDepth png", data=np.frombuffer(content, np.uint8)
    )


def camera_info(at_ns, width, height):
    region = _T["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    k = np.array([200.0, 0, width / 2, 0, 200, height / 2, 0, 0, 1])
    return _T["sensor_msgs/msg/CameraInfo"](
        header=header(at_ns),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.array([0.01, 0, 0, 0, 0]),
        k=k,
        r=np.eye(3).ravel(),
        p=np.insert(k, [3, 6, 9], 0.0),
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def odometry(at_ns, x_m, yaw_rad=0.0):
    point, quaternion = _T["geometry_msgs/msg/Point"], _T["geometry_msgs/msg/Quaternion"]
    pose = _T["geometry_msgs/msg/Pose"](
        position=point(x=x_m, y=0.0, z=0.0),
        orientation=quaternion(x=0.0, y=0.0, z=np.sin(yaw_rad / 2), w=np.cos(yaw_rad / 2)),
    )
    zero = _T["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0)
    twist = _T["geometry_msgs/msg/Twist"](linear=zero, angular=zero)
    return _T["nav_msgs/msg/Odometry"](
        header=header(at_ns, "odom"),
        child_frame_id=BASE_FRAME,
        pose=_T["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
        twist=_T["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
    )


def static_transform(parent, child, xyz, quaternion=(0.0, 0.0, 0.0, 1.0)):
    translation = _T["geometry_msgs/msg/Vector3"](**dict(zip("xyz", map(float, xyz), strict=True)))
    rotation = _T["geometry_msgs/msg/Quaternion"](**dict(zip("xyzw", map(float, quaternion), strict=True)))
    stamped = _T["geometry_msgs/msg/TransformStamped"](
        header=header(0, parent),
        child_frame_id=child,
        transform=_T["geometry_msgs/msg/Transform"](translation=translation, rotation=rotation),
    )
    return _T["tf2_msgs/msg/TFMessage"](transforms=[stamped])


def in_order(messages):
    return sorted(messages, key=lambda message: message[2])


def write_rosbag2(path, messages, storage=StoragePlugin.SQLITE3, *, compression=None, spoil=None):
    """Write (topic, message, recorded after START_NS) into a folder; ``spoil`` changes the n-th message's bytes."""
    writer = Rosbag2Writer(path, version=9, storage_plugin=storage)
    if compression is not None:
        writer.set_compression(*compression)
    with writer:
        _fill(writer, in_order(messages), spoil or {})
    return path


def write_raw(path, raw_messages, topics):
    """Write what a player publishes, as a recorder would record it; ``topics`` by role."""
    with Rosbag2Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for raw in raw_messages:
            if raw.topic_role not in connections:
                topic = topics[raw.topic_role]
                connections[raw.topic_role] = writer.add_connection(topic, raw.msgtype, typestore=STORE)
            writer.write(connections[raw.topic_role], raw.stamp_ns, raw.cdr)
    return path


def write_in_parts(path, messages, storage, parts):
    """Write a folder with several files, as a recorder does that begins a new one from time to time."""
    ordered = in_order(messages)
    size = -(-len(ordered) // parts)
    path.mkdir()
    all_facts = []
    for i in range(parts):
        part = write_rosbag2(path / f"part_{i}", ordered[i * size : (i + 1) * size], storage)
        facts = yaml.safe_load((part / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
        (part / facts["relative_file_paths"][0]).rename(path / facts["relative_file_paths"][0])
        (part / "metadata.yaml").unlink()
        part.rmdir()
        all_facts.append(facts)
    whole = all_facts[0]
    for facts in all_facts[1:]:
        whole["relative_file_paths"] += facts["relative_file_paths"]
        whole["files"] += facts["files"]
        whole["message_count"] += facts["message_count"]
        whole["topics_with_message_count"][0]["message_count"] += facts["message_count"]
    (path / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": whole}))
    return path


def forget_definitions(path):
    """Make a .db3 file what ROS 2 wrote before Iron: without the messages' definitions."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE schema; DROP TABLE message_definitions; DROP TABLE metadata;")
    return path


def write_rosbag1(path, messages):
    with Rosbag1Writer(path) as writer:
        connections = {}
        for topic, message, at_ns in in_order(messages):
            msgtype = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, msgtype, typestore=ROS1)
            content = STORE.cdr_to_ros1(STORE.serialize_cdr(message, msgtype), msgtype)
            writer.write(connections[topic], START_NS + at_ns, content)
    return path


def mcap_with_small_chunks(path, messages):
    """Write a bare MCAP file with a chunk for each image, as a recorder that syncs often would."""
    from mcap.writer import CompressionType, Writer

    with path.open("wb") as file:
        writer = Writer(file, chunk_size=1000, compression=CompressionType.NONE)
        writer.start(profile="ros2")
        channels = {}
        for topic, message, at_ns in in_order(messages):
            msgtype = message.__msgtype__
            if topic not in channels:
                definition = STORE.generate_msgdef(msgtype, ros_version=2)[0]
                schema = writer.register_schema(msgtype, "ros2msg", definition.encode())
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            time_ns = START_NS + at_ns
            writer.add_message(channels[topic], time_ns, bytes(STORE.serialize_cdr(message, msgtype)), time_ns)
        writer.finish()
    return path


def _fill(writer, messages, spoil):
    connections = {}
    for number, (topic, message, at_ns) in enumerate(messages):
        msgtype = message.__msgtype__
        if topic not in connections:
            connections[topic] = writer.add_connection(topic, msgtype, typestore=STORE)
        content = bytes(STORE.serialize_cdr(message, msgtype))
        writer.write(connections[topic], START_NS + at_ns, spoil.get(number, bytes)(content))
