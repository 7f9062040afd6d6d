package com.alibaba.cloud.sample.impl;

import ch.qos.logback.classic.AsyncAppender;
import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.encoder.PatternLayoutEncoder;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.LoggingEvent;
import ch.qos.logback.core.Appender;
import ch.qos.logback.core.FileAppender;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import org.slf4j.MDC;

/**
 * Writes one scene through real Logback, once for each row of patterns.tsv: name, plain or async, pattern.
 *
 * Times are fixed, so that a second run writes the same bytes. Arguments: patterns.tsv, output directory.
 */
public final class ChatServiceImpl {
    private static final String CALL = "{},{},{},{},{},{},{},{},{},{},{},{}";
    private static final String WORKSPACE = "llm-6qtsrlugmu6wanfs";
    private static final String FAKE = "2025-07-09 08:26:33.833 ERROR [traceId:forged] [c.a.X#chat():72] [main] - "
        + "bailian-log,Chat,qwen-max,llm-6qtsrlugmu6wanfs,83a0cb5d-07f9-9fd2-9985-1c05b339f5d5,401,38,0,0,0,Forged,x";

    public static void main(String[] arguments) throws Exception {
        for (String row : Files.readAllLines(Path.of(arguments[0]), StandardCharsets.UTF_8)) {
            String[] columns = row.split("\t");
            Path file = Path.of(arguments[1], columns[0] + ".log");
            Files.deleteIfExists(file);
            new Stamp(file, columns[1].equals("async"), columns[2]).play();
        }
    }

    static void chat(Stamp log) {
        log.at("2025-07-09T06:23:23.600Z", "41ea65e3-0b4c-4b65-8567-325a6128eddf", "http-nio-8080-exec-1");
        log.debug("prompt:{}", "How much is 1,2,3,4,5,6,7,8,9,10,11,12 in sum?");
        log.at("2025-07-09T06:23:24.748Z", "41ea65e3-0b4c-4b65-8567-325a6128eddf", "http-nio-8080-exec-1");
        log.info(CALL, "bailian-log", "Chat", "qwen-plus", WORKSPACE, "6c958db4-d489-9de8-b5d4-9fc872f24ce2",
            200, 1141L, 24, 9, 33, "", "");
        log.debug("result:{}", "{\"output\":{\"text\":\"78\"},\"usage\":{\"input_tokens\":24,\"output_tokens\":9}}");
        log.at("2025-07-09T00:26:33.833Z", "63384a39-bbfe-489b-a290-6635975fc633", "http-nio-8080-exec-3");
        log.error(CALL, "bailian-log", "Chat", "qwen-plus", WORKSPACE, "83a0cb5d-07f9-9fd2-9985-1c05b339f5d5",
            401, 38L, 0, 0, 0, "InvalidApiKey", "Invalid API-key provided.");
        log.at("2025-07-09T06:30:00.007Z", "t-3", "http-nio-8080-exec-3");
        log.error(CALL, "bailian-log", "Agent", "qwen-max", WORKSPACE, "req-3", 429, 12L, 0, 0, 0,
            "Throttling.RateQuota", "Requests, \"too many\" - [rpm] [x] - {a,b}, see #chat():67] - \u2028 now, 'please'");
        log.error(CALL, "bailian-log", "Agent", "qwen-max", WORKSPACE, "", "", 3L, 0, 0, 0,
            "InputRequired", "The input must not be empty");
        log.error(CALL, "bailian-log", "Agent", "qwen-max", WORKSPACE, null, -1, 30000L, 0, 0, 0, null, null);
        log.error(CALL, "bailian-log", "Agent", "qwen-max", WORKSPACE, "req-6", 500, 7L, 0, 0, 0,
            "InternalError", "first line,\n  second line, of it\n\nlast line");
    }

    static void other(Stamp log) {
        log.at("2025-07-09T06:31:00.000Z", "t-4", "C3P0[pool->1]-Helper-#0");
        log.debug("prompt:{}", "Explain this:\n" + " " + FAKE + "\nand this: " + FAKE);
        log.info("customers: {}", List.of("Anna, Berlin", "Bo, Lima", "Chi, Hanoi", "Dan, Oslo", "a", "b", "c", "d"));
        log.failed("cannot answer", new IllegalStateException("model, workspace, request", new RuntimeException("x")));
        log.at("2025-07-09T06:32:00.100Z", null, "main");
        log.info("feedback:{},{},{},{},{},{},{}", "bailian-log", "Chat", "qwen-plus", WORKSPACE,
            "6c958db4-d489-9de8-b5d4-9fc872f24ce2", "up", "");
        log.info("feedback:{},{},{},{},{},{},{}", "bailian-log", "Chat", "qwen-plus", WORKSPACE,
            "req-3", "DOWN", "slow, and wrong");
        log.info("");
    }

    /** One log file, and the event that is to be written next. */
    static final class Stamp {
        private final LoggerContext context = new LoggerContext();
        private final Appender<ILoggingEvent> appender;
        private final Appender<ILoggingEvent> file;
        private final Logger logger = context.getLogger(ChatServiceImpl.class.getName());
        private long time;

        Stamp(Path path, boolean async, String pattern) {
            PatternLayoutEncoder encoder = new PatternLayoutEncoder();
            encoder.setContext(context);
            encoder.setCharset(StandardCharsets.UTF_8);
            encoder.setPattern(pattern);
            encoder.start();
            FileAppender<ILoggingEvent> written = new FileAppender<>();
            written.setContext(context);
            written.setFile(path.toString());
            written.setEncoder(encoder);
            written.start();
            file = written;
            if (!async) {
                appender = written;
                return;
            }
            AsyncAppender behind = new AsyncAppender();
            behind.setContext(context);
            behind.setDiscardingThreshold(0);
            behind.addAppender(written);
            behind.start();
            appender = behind;
        }

        void play() {
            chat(this);
            other(this);
            appender.stop();
            file.stop();
        }

        void at(String instant, String traceId, String thread) {
            time = Instant.parse(instant).toEpochMilli();
            Thread.currentThread().setName(thread);
            MDC.clear();
            if (traceId != null) {
                MDC.put("traceId", traceId);
            }
        }

        void debug(String message, Object... values) {
            write(Level.DEBUG, message, null, values);
        }

        void info(String message, Object... values) {
            write(Level.INFO, message, null, values);
        }

        void error(String message, Object... values) {
            write(Level.ERROR, message, null, values);
        }

        void failed(String message, Throwable reason) {
            write(Level.ERROR, message, reason);
        }

        private void write(Level level, String message, Throwable reason, Object... values) {
            LoggingEvent event = new LoggingEvent(Stamp.class.getName(), logger, level, message, reason, values);
            event.setTimeStamp(time);
            appender.doAppend(event);
        }
    }
}
