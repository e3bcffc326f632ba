plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "mlc.sample"
    compileSdk = 36
    defaultConfig {
        applicationId = "mlc.sample"
        minSdk = 28
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    androidResources.noCompress += "tflite" // it is mapped, not copied
    testOptions.unitTests.isIncludeAndroidResources = true
}

kotlin.jvmToolchain(17)

val bundle = rootDir.resolve(providers.gradleProperty("bundle").get())

/** Takes the model, its golden cases and its generated code from the bundle. */
val takeBundle by tasks.registering(Sync::class) {
    from(bundle) {
        include("*.tflite", "manifest.json", "golden/**")
        into("assets")
    }
    from(bundle.resolve("bindings/kotlin")) { into("kotlin") }
    into(layout.buildDirectory.dir("bundle"))
}

android.sourceSets["main"].apply {
    assets.srcDir(layout.buildDirectory.dir("bundle/assets"))
    kotlin.srcDir(layout.buildDirectory.dir("bundle/kotlin"))
}
tasks.named("preBuild") {
    dependsOn(takeBundle)
    doFirst {
        require(bundle.resolve("bindings/kotlin").isDirectory) {
            "$bundle is no bundle with Kotlin bindings: make it with `mlc build MODEL --targets tflite " +
                "--bindings kotlin -o $bundle`, or name another one with -Pbundle=FOLDER."
        }
    }
}
tasks.withType<Test>().configureEach {
    jvmArgs("--add-opens", "java.base/java.io=ALL-UNNAMED") // Robolectric fills in file descriptors
    systemProperty("mlc.bundle", layout.buildDirectory.dir("bundle/assets").get().asFile.path)
}

dependencies {
    // The same org.tensorflow.lite.Interpreter as org.tensorflow:tensorflow-lite, built for 16 KB pages too.
    implementation("com.google.ai.edge.litert:litert:1.4.0")

    testImplementation("junit:junit:4.13.2")
    testImplementation("org.robolectric:robolectric:4.16")
    testImplementation("org.bytedeco:tensorflow-lite-platform:2.18.0-1.5.11") // runs the model on the JVM
}
