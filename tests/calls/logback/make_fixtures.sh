#!/bin/sh
# Writes the logs of tests/calls/logs with real Logback: `make_fixtures.sh [OUTPUT_DIRECTORY]`.
# Needs a JDK and Debian's liblogback-java (jars under /usr/share/java, or in the directory LOGBACK_JARS).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../logs}
jars=${LOGBACK_JARS:-/usr/share/java}
classpath=$jars/logback-classic.jar:$jars/logback-core.jar:$jars/slf4j-api.jar
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
mkdir -p "$out"
javac -encoding UTF-8 -cp "$classpath" -d "$classes" "$here/com/alibaba/cloud/sample/impl/ChatServiceImpl.java"
java -Duser.timezone=Asia/Shanghai -Duser.language=en -Duser.country=US -Xshare:auto -XX:TieredStopAtLevel=1 \
    -cp "$classes:$classpath" com.alibaba.cloud.sample.impl.ChatServiceImpl "$here/patterns.tsv" "$out"
